//! Binds: which are accepted. Passwords are compared here and stored nowhere.

use channels::smpp::{
    Millis,
    pdu::{BindReply, Pdu, PduHeader},
    status,
    tlv::{SC_INTERFACE_VERSION, Tlv, Tlvs},
};

use super::{
    connection::{AccountId, Bound, ConnectionId},
    core::{Account, Core},
    deliver,
    records::Seen,
};

/// Maximum number of different system_ids; binds of further ones are refused.
const ACCOUNTS_MAX: usize = 10_000;

/// Answers a bind.
pub(super) fn bind(core: &mut Core, id: ConnectionId, header: PduHeader, body: &[u8], now: Millis) {
    let Ok((Pdu::Bind(kind, bind), _)) = Pdu::read(header.command, 0, body) else {
        return core.refuse_unreadable(id, header);
    };
    let system_id = String::from_utf8_lossy(bind.system_id).into_owned();
    let refusal = refusal(core, id, &system_id, bind.password, now);
    let account = if refusal == status::OK { account(core, &system_id) } else { None };
    let Some(account) = account else {
        core.records.counts.binds_refused += 1;
        let code = if refusal == status::OK { status::BIND_FAILED } else { refusal };
        return core.write_bare(id, header.command, header.sequence, code);
    };
    core.records.counts.binds += 1;
    let list = [Tlv { tag: SC_INTERFACE_VERSION, value: &[0x34] }];
    let reply = BindReply { system_id: b"patchbay-smsc", tlvs: Tlvs::list(&list) };
    core.write(id, &Pdu::BindResp(kind, reply), 0, header.sequence);
    if let Some(connection) = core.connections.get_mut(&id) {
        connection.bound = Some(Bound { account, kind });
    }
    if let Some(account) = core.accounts.get_mut(account) {
        account.connections.push(id);
        account.lost = None;
        let system_id = account.name.clone();
        core.records.tell(|| Seen::Bound { system_id });
    }
    if kind.receives() {
        deliver::claim(core, account);
        deliver::start_background(core, now);
        deliver::pump(core, account, now);
    }
}

/// Returns the status with which a bind is refused; [`status::OK`] when it is not.
fn refusal(core: &Core, id: ConnectionId, system_id: &str, password: &[u8], now: Millis) -> u32 {
    let script = &core.script;
    if script.bind_status != 0 {
        return script.bind_status;
    }
    if !script.accounts.is_empty() {
        match script.accounts.get(system_id) {
            None => return status::INVALID_SYSTEM_ID,
            Some(expected) if expected.as_bytes() != password => return status::INVALID_PASSWORD,
            Some(_) => {}
        }
    }
    if core.connections.get(&id).is_some_and(|connection| connection.bound.is_some()) {
        return status::ALREADY_BOUND;
    }
    let Some(account) = core.accounts.iter().find(|account| *account.name == *system_id) else {
        return status::OK;
    };
    let lost_lately = account.lost.is_some_and(|lost| now < lost.saturating_add(script.already_bound_ms));
    let full = script.binds_max > 0 && account.connections.len() >= script.binds_max;
    if lost_lately || full { status::ALREADY_BOUND } else { status::OK }
}

/// Finds or adds an account; `None` when there are too many.
fn account(core: &mut Core, system_id: &str) -> Option<AccountId> {
    if let Some(at) = core.accounts.iter().position(|account| *account.name == *system_id) {
        return Some(at);
    }
    if core.accounts.len() >= ACCOUNTS_MAX {
        return None;
    }
    core.accounts.push(Account::new(system_id));
    Some(core.accounts.len() - 1)
}
