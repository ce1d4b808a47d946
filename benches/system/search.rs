//! Searches among many finished messages, over the admin port: by a customer's number, by text
//! through the whole log page by page, and the lists. Tells times and memory.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use crate::{
    Plan, Result,
    driver::{self, customer},
    process::now,
    scale::State,
};

/// How many customers are searched for.
const CUSTOMERS: u64 = 200;
/// Maximum number of pages that one search reads.
const PAGES_MAX: usize = 2_000;

/// One page of an answer.
struct SearchPage {
    items: usize,
    complete: bool,
    next: Option<String>,
    took: Duration,
}

/// Runs the case and prints its figures.
pub fn run(plan: &Plan) -> Result<()> {
    let mut state = State::build(plan.clone())?;
    let gateway = state.gateway.as_mut().ok_or("it does not run")?;
    let url = gateway.process.line_after("admin page")?;
    let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
    let before = gateway.process.rss_bytes();

    let mut first: Vec<Duration> = Vec::new();
    let last = plan.messages.saturating_sub(CUSTOMERS);
    for message in last..plan.messages {
        let number = customer(message, plan.customers);
        let page = page(&host, &format!("?customer=%2B{number}&limit=20"))?;
        if page.items == 0 {
            return Err(format!("nothing was found of {number}").into());
        }
        first.push(page.took);
    }
    first.sort_unstable();
    let at = |share: usize| first[(first.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!("by number, the newest 20: p50 {:.1}, p99 {:.1}, p100 {:.1} ms", at(50), at(99), at(100));

    let number = customer(last, plan.customers);
    for (name, query) in [
        ("by number, all pages", format!("?customer=%2B{number}&limit=100")),
        ("newest 100", "?list=newest&limit=100".to_owned()),
        ("failed", "?list=failed&limit=100".to_owned()),
        ("waiting", "?list=waiting&limit=100".to_owned()),
        ("by a text that nobody wrote, all pages", "?text=nobody-wrote-this".to_owned()),
        ("by a provider's id that nobody has, all pages", "?providerId=nobody-has-this".to_owned()),
    ] {
        let is_whole = name.ends_with("all pages");
        let (mut next, mut pages, mut items) = (Some(query), Vec::new(), 0);
        let mut complete = false;
        while let Some(query) = next.take().filter(|_| pages.len() < PAGES_MAX) {
            let page = page(&host, &query)?;
            (items, complete) = (items + page.items, page.complete);
            next = page.next.filter(|_| is_whole);
            pages.push(page.took);
        }
        let sum: Duration = pages.iter().sum();
        let longest = pages.iter().max().copied().unwrap_or_default();
        println!(
            "{name}: {items} found on {} pages in {:.1} ms, the longest {:.1} ms{}",
            pages.len(),
            sum.as_secs_f64() * 1e3,
            longest.as_secs_f64() * 1e3,
            if complete { ", complete" } else { "" }
        );
    }
    let after = gateway.process.rss_bytes();
    println!("memory {:.0} MB before, {:.0} MB after", before as f64 / 1e6, after as f64 / 1e6);
    Ok(())
}

/// Asks for one page.
fn page(host: &str, query: &str) -> Result<SearchPage> {
    let begun = now();
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET /api/messages{query} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let took = begun.elapsed();
    let (_, from, length) = driver::head(&answer).ok_or("the admin port gave no answer")?;
    let head = String::from_utf8_lossy(&answer[..from]).into_owned();
    let body = answer.get(from..from + length).ok_or("the admin port's answer is cut short")?;
    let body: Value = serde_json::from_slice(body)?;
    let items = body["items"].as_array().ok_or_else(|| format!("{query}: {body}"))?.len();
    let link = head.lines().find_map(|line| line.strip_prefix("link: <"));
    let next = link.and_then(|link| link.split('>').next()).map(str::to_owned);
    Ok(SearchPage { items, complete: body["complete"] == true, next, took })
}
