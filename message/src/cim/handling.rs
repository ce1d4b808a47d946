//! The attributes that say what a telephone does with an SMS: flash, the SIM, an application's
//! port. A wrong value is refused, since the message would do something else than was meant.

use super::{error::Error, lenient::Scalar};
use crate::event::{SmsHandling, SmsPorts};

/// The attributes that say what a telephone does with an SMS.
#[derive(Default)]
pub(super) struct HandlingWire<'a> {
    class: Scalar<'a>,
    flash: Scalar<'a>,
    destination_port: Scalar<'a>,
    source_port: Scalar<'a>,
}

impl<'a> HandlingWire<'a> {
    /// Notes the value of an attribute, if it is one of these.
    pub(super) fn note(&mut self, key: &str, value: Scalar<'a>) {
        match key {
            "messageClass" => self.class = value,
            "flash" => self.flash = value,
            "destinationPort" => self.destination_port = value,
            "sourcePort" => self.source_port = value,
            _ => {}
        }
    }

    /// Reads the attributes.
    pub(super) fn read(self) -> Result<SmsHandling, Error> {
        if [&self.class, &self.flash, &self.destination_port, &self.source_port]
            .into_iter()
            .all(Scalar::is_empty)
        {
            return Ok(SmsHandling::default());
        }
        let path = |key: &str| format!("header.channelData.additionalAttributes[{key}]");
        let mut class = message_class(&path("messageClass"), self.class)?;
        if flag(&path("flash"), self.flash)? {
            if class.is_some_and(|class| class != 0) {
                let fix = "leave one of them out: flash is messageClass 0";
                return Err(Error::invalid(path("flash"), "contradicts messageClass", fix));
            }
            class = Some(0);
        }
        let destination = port(&path("destinationPort"), self.destination_port)?;
        let source = port(&path("sourcePort"), self.source_port)?;
        let ports = match (destination, source) {
            (None, Some(_)) => {
                let fix = "give the port of the customer's application as well, or leave sourcePort out";
                return Err(Error::missing(path("destinationPort"), fix));
            }
            (None, None) => None,
            (Some(destination), source) => {
                Some(SmsPorts { destination, source: source.unwrap_or(0), in_header: true })
            }
        };
        Ok(SmsHandling { class, ports })
    }
}

fn whole_number(value: &Scalar<'_>) -> Option<u64> {
    match value {
        Scalar::Unsigned(number) => Some(*number),
        Scalar::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn message_class(path: &str, value: Scalar<'_>) -> Result<Option<u8>, Error> {
    if value.is_empty() {
        return Ok(None);
    }
    let is_flash = matches!(&value, Scalar::Text(text) if text.trim().eq_ignore_ascii_case("flash"));
    let class = if is_flash { Some(0) } else { whole_number(&value).and_then(|n| u8::try_from(n).ok()) };
    match class.filter(|class| *class <= 3) {
        Some(class) => Ok(Some(class)),
        None => {
            let fix = "give 0 (flash), 1 (telephone), 2 (SIM) or 3 (a device beside it)";
            Err(Error::invalid(path, "is not a message class", fix))
        }
    }
}

fn flag(path: &str, value: Scalar<'_>) -> Result<bool, Error> {
    match &value {
        Scalar::Bool(flag) => Ok(*flag),
        Scalar::Text(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
        Scalar::Text(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
        other if other.is_empty() => Ok(false),
        _ => Err(Error::invalid(path, "is not true or false", "give true or false")),
    }
}

fn port(path: &str, value: Scalar<'_>) -> Result<Option<u16>, Error> {
    if value.is_empty() {
        return Ok(None);
    }
    match whole_number(&value).and_then(|n| u16::try_from(n).ok()) {
        Some(port) if port > 0 => Ok(Some(port)),
        _ => Err(Error::invalid(path, "is not a port", "give a whole number from 1 to 65535")),
    }
}
