//! Group messages (MMS): several telephone numbers beside ours. The group is a customer of its own,
//! spelled as its members' numbers in order, separated by commas, so that an answer to that address
//! reaches all of them.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use message::event::Cause;

use crate::{
    address::number,
    contract::{InMessage, Rejection},
    toolkit::json,
};

/// The separator of a group's members.
const COMMA: char = ',';

/// The members of a conversation besides ourselves, in canonical spelling.
#[derive(Debug)]
pub struct GroupNumbers(BTreeSet<String>);

impl GroupNumbers {
    /// Collects the members: everyone but `own`.
    pub fn of<'a>(own: &str, everyone: impl IntoIterator<Item = &'a str>) -> Self {
        let own = number::canonical(own);
        let canonical = everyone.into_iter().map(number::canonical);
        Self(canonical.filter(|number| !number.is_empty() && *number != own).map(Cow::into_owned).collect())
    }

    /// Whether there are several.
    pub fn is_group(&self) -> bool {
        self.0.len() > 1
    }

    /// Returns the address of the group; `None` for a single member, or more than `members_max`,
    /// to whom one message cannot be sent.
    pub fn address(&self, members_max: usize) -> Option<Arc<str>> {
        (self.is_group() && self.0.len() <= members_max).then(|| self.written().into())
    }

    fn written(&self) -> String {
        self.0.iter().map(|number| number::e164(number)).collect::<Vec<_>>().join(",")
    }

    /// Makes a message of one of the members one of the group's: the group becomes the customer if
    /// `members_max` admits it, and the members and the writer are attributes.
    pub fn address_message(&self, message: &mut InMessage, members_max: usize) {
        if !self.is_group() {
            return;
        }
        let mut add = |key: &str, value: &str| message.attributes.push((key.into(), value.into()));
        add("participants", &self.written());
        add("senderId", &message.customer.clone());
        match self.address(members_max) {
            Some(group) => message.customer = group,
            // Nobody else of the group sees the answer.
            None => add("groupReply", "sender"),
        }
    }
}

/// Returns the canonical spelling of a number, or of a group of up to `members_max` numbers.
///
/// # Errors
/// The address is neither; the rejection says why.
pub fn customer(address: &str, members_max: usize) -> Result<Arc<str>, Rejection> {
    if !address.contains(COMMA) {
        return Ok(number::customer(address)?);
    }
    let members = address.split(COMMA).map(|member| Ok(number::customer(member)?.to_string()));
    let members = members.collect::<Result<BTreeSet<String>, Rejection>>()?;
    if members.len() > members_max {
        let reason = format!(
            "channelCustomerIdentifier {address:?} has {} numbers: expected up to {members_max}",
            members.len()
        );
        return Err(Rejection(Cause::new("400", reason)));
    }
    Ok(members.into_iter().collect::<Vec<_>>().join(",").into())
}

/// Returns the numbers of a customer, which is one or a group, as E.164 providers expect them.
pub fn members(customer: &str) -> Vec<String> {
    customer.split(COMMA).map(number::e164).collect()
}

/// Returns the texts or numbers at these paths of each item, as the members of a group stand in a
/// webhook.
pub fn texts(items: &[serde_json::Value], path: &str) -> Vec<String> {
    items.iter().filter_map(|item| json::some_text(item, path).map(|text| text.into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use message::Content;

    use super::*;

    #[test]
    fn a_group_is_a_customer_whose_address_leads_back() {
        let all = ["+15550100003", "15550100002", "+1 (555) 010-0001", "+15550100002"];
        let group = GroupNumbers::of("+15550100001", all);
        assert_eq!(group.address(8).as_deref(), Some("+15550100002,+15550100003"));
        assert_eq!(group.address(1), None);
        let canonical = customer("+15550100003, 15550100002", 8).unwrap();
        assert_eq!(&*canonical, "15550100002,15550100003");
        assert_eq!(customer(group.address(8).as_deref().unwrap(), 8).unwrap(), canonical);
        assert_eq!(members(&canonical), ["+15550100002", "+15550100003"]);
        assert_eq!(members("15550100002"), ["+15550100002"]);
        assert!(customer("+15550100003,+15550100002", 1).is_err());
        assert!(customer("+15550100003,Ann", 8).is_err());
        assert!(customer(",", 8).is_err());
        assert!(!GroupNumbers::of("+15550100001", ["+15550100001", "+15550100002"]).is_group());
    }

    #[test]
    fn a_message_of_a_group_names_its_writer_and_where_an_answer_goes() {
        let group = GroupNumbers::of("1000001", ["2000002", "3000003"]);
        let told = |members_max| {
            let mut message = InMessage::new("1000001", "+2000002", "id", Content::Text("hi".into()));
            group.address_message(&mut message, members_max);
            let said: Vec<_> =
                message.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
            (message.customer.to_string(), said.join(" "))
        };
        let all = "participants=+2000002,+3000003 senderId=+2000002";
        assert_eq!(told(2), ("+2000002,+3000003".into(), all.into()));
        assert_eq!(told(0), ("+2000002".into(), format!("{all} groupReply=sender")));
    }
}
