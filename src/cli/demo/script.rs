//! The script of the demo, chapter by chapter. Fails at the first step that does not happen.

use serde_json::json;

use super::{
    bot::{self, DAY},
    channel::Channel,
    fact::Fact,
    print::Who,
    provider::Provider,
    story::Story,
};
use crate::run::Failure;

const GREETING: &str = "Hi, where is my parcel?";
const LONG: &str = "Great service yesterday 🎉 The technician was on time, friendly 😊 and fixed the boiler in \
                    twenty minutes 🔧. Could you please send the invoice to my office address this time? Thank you! 🙏";
const QUESTION: &str = "When shall we deliver it?";
const DAYS: [&str; 3] = ["Today", "Tomorrow", "Saturday"];
/// The entry of [`DAYS`] that customers choose: its number and its text.
const CHOICE: (&str, &str) = ("2", "Tomorrow");
const CAPTION: &str = "It arrived like this";

/// Plays all chapters.
pub(super) async fn play(story: &mut Story, providers: &[Provider]) -> Result<(), Failure> {
    let sms = providers.iter().find(|provider| provider.channel == Channel::Sms);
    if sms.is_some() {
        story.until("login at the SMSC (SMPP bind)", is_bound).await?;
    }
    story.chapter("A customer writes on each channel; the bot answers; receipts come back");
    let mut customers = Vec::new();
    for provider in providers {
        customers.push(greets(story, provider).await?);
    }
    if let Some(sms) = sms {
        story.chapter("A long SMS with emoji; its segments arrive in the wrong order");
        writes_at_length(story, sms).await?;
    }
    story.chapter(
        "The bot asks everyone a question: with buttons where supported, otherwise as a numbered list",
    );
    for (provider, customer) in providers.iter().zip(&customers) {
        is_asked(story, provider, customer).await?;
    }
    let shows = [Channel::Whatsapp, Channel::Telegram, Channel::Messenger];
    let shows = shows.iter().find_map(|channel| providers.iter().find(|p| p.channel == *channel));
    if let Some(provider) = shows {
        story.chapter("A customer sends a picture; the bot downloads it from Patchbay");
        sends_a_picture(story, provider).await?;
        story.chapter("A forger without the provider's secret calls the webhooks");
        for provider in providers.iter().filter(|provider| provider.channel != Channel::Sms) {
            is_forged(story, provider).await?;
        }
    }
    Ok(())
}

fn is_bound(fact: &Fact) -> Option<()> {
    (*fact == Fact::Bound).then_some(())
}

/// Plays a greeting; returns the customer's address as the bot knows it.
async fn greets(story: &mut Story, provider: &Provider) -> Result<String, Failure> {
    let channel = provider.channel;
    story.say(channel, Who::Customer, GREETING);
    provider.write(&provider.customer, GREETING).await?;
    let heard = story.heard(channel, GREETING).await?;
    story.answered(channel, &heard, &format!("You wrote: {GREETING}")).await?;
    Ok(heard.customer)
}

async fn writes_at_length(story: &mut Story, sms: &Provider) -> Result<(), Failure> {
    story.say(sms.channel, Who::Customer, LONG);
    sms.write_shuffled(LONG).await?;
    let heard = story.heard(sms.channel, LONG).await?;
    story.say(sms.channel, Who::BotGets, "the same text, joined in the right order");
    story.answered(sms.channel, &heard, &format!("You wrote: {LONG}")).await
}

async fn is_asked(story: &mut Story, provider: &Provider, customer: &str) -> Result<(), Failure> {
    let channel = provider.channel;
    let payload_of = |title: &str| format!("{DAY}{}", title.to_lowercase());
    let buttons: Vec<_> = DAYS
        .iter()
        .map(|title| json!({ "type": "reply", "title": title, "payload": payload_of(title) }))
        .collect();
    let body = json!({ "type": "BUTTON", "markdownText": QUESTION, "buttons": buttons });
    let id = format!("question-{}", channel.id());
    story.bot.send(bot::message(&id, &provider.did, customer, &body)).await?;
    let shown = story.shown(channel, QUESTION).await?;
    let titles: String = shown.buttons.iter().map(|title| format!("  [{title}]")).collect();
    story.say(channel, Who::Bot, &format!("{}{titles}", shown.text));
    let view = story.bot.message(&id).await?;
    for note in view.get("adapted").and_then(|notes| notes.as_array()).into_iter().flatten() {
        story.say(channel, Who::Router, &format!("adapted: {}", note.as_str().unwrap_or_default()));
    }
    story.receipts(channel, &id).await?;
    let (number, title) = CHOICE;
    if shown.buttons.is_empty() {
        story.say(channel, Who::Customer, number);
        provider.write(&provider.customer, number).await?;
    } else {
        story.say(channel, Who::Customer, &format!("taps [{title}]"));
        provider.choose(&shown, title, &payload_of(title)).await?;
    }
    let heard = story.heard(channel, title).await?;
    if heard.payload != payload_of(title) {
        let got = heard.payload;
        return Err(Failure::Running(format!(
            "{}: the answer {title:?} has the payload {got:?}",
            channel.label()
        )));
    }
    story.say(channel, Who::BotGets, &format!("{title:?} with the payload {}", heard.payload));
    story.answered(channel, &heard, &format!("Booked for you: {title}.")).await
}

async fn sends_a_picture(story: &mut Story, provider: &Provider) -> Result<(), Failure> {
    let channel = provider.channel;
    // Pictures on Messenger have no caption.
    let caption = if channel == Channel::Messenger { "" } else { CAPTION };
    story.say(channel, Who::Customer, &format!("a picture  {caption}"));
    provider.send_picture(caption).await?;
    let heard = story.heard(channel, caption).await?;
    let Some(picture) = heard.picture.clone() else {
        return Err(Failure::Running(format!("{}: the picture has no URL", channel.label())));
    };
    story.say(channel, Who::BotGets, &picture.url);
    story.say(
        channel,
        Who::Router,
        &format!("fetched from the provider, {} bytes of {}", picture.bytes, picture.kind),
    );
    story.answered(channel, &heard, "Thank you for the picture").await
}

async fn is_forged(story: &mut Story, provider: &Provider) -> Result<(), Failure> {
    let (channel, words) = (provider.channel, "You won! Click here.");
    story.say(channel, Who::Stranger, words);
    match provider.forge(words).await? {
        Some(status @ (401 | 403)) => {
            story.say(channel, Who::Router, &format!("refused with HTTP {status}; nothing changed"));
            Ok(())
        }
        other => Err(Failure::Running(format!(
            "{}: a forged webhook was answered with {other:?}, expected 401 or 403",
            channel.label()
        ))),
    }
}
