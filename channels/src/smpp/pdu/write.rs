//! Writes PDUs directly into an output buffer. A PDU that cannot be written leaves the buffer
//! unchanged.

use super::model::{Address, Bind, CommandId, DataSm, IdReply, Pdu, PduHeader, ReplaceSm, ShortMessage, max};
use crate::smpp::wire::{EncodeError, put_text};

/// Appends a PDU.
///
/// # Errors
///
/// A field is too long or a C-string contains a NUL; nothing was appended.
pub fn write(pdu: &Pdu<'_>, status: u32, sequence: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let header = PduHeader { command: pdu.command(), status, sequence };
    framed(header, out, |out| put_body(pdu, out))
}

/// Appends a submit_sm or deliver_sm without constructing a [`Pdu`]: the hot path.
///
/// # Errors
///
/// As [`write()`].
pub fn write_submit(
    command: CommandId,
    message: &ShortMessage<'_>,
    sequence: u32,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    framed(PduHeader { command, status: 0, sequence }, out, |out| put_message(message, out))
}

/// Appends a PDU with an encoded body.
///
/// # Errors
///
/// The body is longer than a PDU's length can express.
pub fn write_frame(header: PduHeader, body: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    framed(header, out, |out| {
        out.extend_from_slice(body);
        Ok(())
    })
}

/// Writes the header and the body, then the length into its place.
#[inline]
fn framed(
    header: PduHeader,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let mut words = [0; 16];
    for (place, word) in
        words.as_chunks_mut::<4>().0.iter_mut().zip([0, header.command.0, header.status, header.sequence])
    {
        *place = word.to_be_bytes();
    }
    out.extend_from_slice(&words);
    let written = body(out).and_then(|()| {
        let octets = out.len().saturating_sub(start);
        u32::try_from(octets).map_err(|_| EncodeError::TooLong {
            field: "the pdu",
            actual: octets,
            max: u32::MAX as usize,
        })
    });
    match written {
        Ok(length) => {
            if let Some(place) = out.get_mut(start..).and_then(|pdu| pdu.first_chunk_mut()) {
                *place = length.to_be_bytes();
            }
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

fn put_address(
    address: &Address<'_>,
    field: &'static str,
    max: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    out.extend_from_slice(&[address.ton, address.npi]);
    put_text(out, address.text, field, max)
}

fn put_octets(text: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let length = u8::try_from(text.len()).map_err(|_| EncodeError::TooLong {
        field: "short_message",
        actual: text.len(),
        max: max::TEXT,
    })?;
    out.push(length);
    out.extend_from_slice(text);
    Ok(())
}

fn put_message(message: &ShortMessage<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_text(out, message.service_type, "service_type", max::SERVICE_TYPE)?;
    put_address(&message.source, "source_addr", max::ADDRESS, out)?;
    put_address(&message.destination, "destination_addr", max::ADDRESS, out)?;
    out.extend_from_slice(&[message.esm_class, message.protocol_id, message.priority_flag]);
    put_text(out, message.schedule_delivery_time, "schedule_delivery_time", max::TIME)?;
    put_text(out, message.validity_period, "validity_period", max::TIME)?;
    out.extend_from_slice(&[
        message.registered_delivery,
        message.replace_if_present,
        message.data_coding,
        message.sm_default_msg_id,
    ]);
    put_octets(message.short_message, out)?;
    message.tlvs.put(out)
}

fn put_data(data: &DataSm<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_text(out, data.service_type, "service_type", max::SERVICE_TYPE)?;
    put_address(&data.source, "source_addr", max::DATA_ADDRESS, out)?;
    put_address(&data.destination, "destination_addr", max::DATA_ADDRESS, out)?;
    out.extend_from_slice(&[data.esm_class, data.registered_delivery, data.data_coding]);
    data.tlvs.put(out)
}

fn put_bind(bind: &Bind<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_text(out, bind.system_id, "system_id", max::SYSTEM_ID)?;
    put_text(out, bind.password, "password", max::PASSWORD)?;
    put_text(out, bind.system_type, "system_type", max::SYSTEM_TYPE)?;
    out.push(bind.interface_version);
    put_address(&bind.address_range, "address_range", max::ADDRESS_RANGE, out)
}

fn put_replace(replace: &ReplaceSm<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_text(out, replace.message_id, "message_id", max::MESSAGE_ID)?;
    put_address(&replace.source, "source_addr", max::ADDRESS, out)?;
    put_text(out, replace.schedule_delivery_time, "schedule_delivery_time", max::TIME)?;
    put_text(out, replace.validity_period, "validity_period", max::TIME)?;
    out.extend_from_slice(&[replace.registered_delivery, replace.sm_default_msg_id]);
    put_octets(replace.short_message, out)?;
    replace.tlvs.put(out)
}

fn put_reply(reply: &IdReply<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_text(out, reply.message_id, "message_id", max::MESSAGE_ID)?;
    reply.tlvs.put(out)
}

fn put_body(pdu: &Pdu<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match pdu {
        Pdu::SubmitSm(message) | Pdu::DeliverSm(message) => put_message(message, out),
        Pdu::SubmitSmResp(reply) | Pdu::DeliverSmResp(reply) | Pdu::DataSmResp(reply) => {
            put_reply(reply, out)
        }
        Pdu::DataSm(data) => put_data(data, out),
        Pdu::Bind(_, bind) => put_bind(bind, out),
        Pdu::BindResp(_, reply) => {
            put_text(out, reply.system_id, "system_id", max::SYSTEM_ID)?;
            reply.tlvs.put(out)
        }
        Pdu::QuerySm(query) => {
            put_text(out, query.message_id, "message_id", max::MESSAGE_ID)?;
            put_address(&query.source, "source_addr", max::ADDRESS, out)
        }
        Pdu::QuerySmResp(reply) => {
            put_text(out, reply.message_id, "message_id", max::MESSAGE_ID)?;
            put_text(out, reply.final_date, "final_date", max::TIME)?;
            out.extend_from_slice(&[reply.message_state, reply.error_code]);
            Ok(())
        }
        Pdu::CancelSm(cancel) => {
            put_text(out, cancel.service_type, "service_type", max::SERVICE_TYPE)?;
            put_text(out, cancel.message_id, "message_id", max::MESSAGE_ID)?;
            put_address(&cancel.source, "source_addr", max::ADDRESS, out)?;
            put_address(&cancel.destination, "destination_addr", max::ADDRESS, out)
        }
        Pdu::ReplaceSm(replace) => put_replace(replace, out),
        Pdu::SubmitMulti(octets) | Pdu::Unknown(_, octets) => {
            out.extend_from_slice(octets);
            Ok(())
        }
        Pdu::SubmitMultiResp(reply) => {
            put_text(out, reply.message_id, "message_id", max::MESSAGE_ID)?;
            out.push(reply.no_unsuccess);
            out.extend_from_slice(reply.rest);
            Ok(())
        }
        Pdu::Outbind(outbind) => {
            put_text(out, outbind.system_id, "system_id", max::SYSTEM_ID)?;
            put_text(out, outbind.password, "password", max::PASSWORD)
        }
        Pdu::AlertNotification(alert) => {
            put_address(&alert.source, "source_addr", max::DATA_ADDRESS, out)?;
            put_address(&alert.esme, "esme_addr", max::DATA_ADDRESS, out)?;
            alert.tlvs.put(out)
        }
        Pdu::CancelSmResp
        | Pdu::ReplaceSmResp
        | Pdu::Unbind
        | Pdu::UnbindResp
        | Pdu::EnquireLink
        | Pdu::EnquireLinkResp
        | Pdu::GenericNack => Ok(()),
    }
}
