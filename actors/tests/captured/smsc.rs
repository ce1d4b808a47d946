//! An SMSC that writes octets as they stand, whatever they are, and notes the answers. It shares no
//! code with the codec under test.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::Notify,
};

/// Commands of SMPP 3.4, table 5-1.
const SUBMIT_SM: u32 = 4;
const RESPONSE: u32 = 0x8000_0000;
const HEADER: usize = 16;

/// The SMSC's side.
#[derive(Default)]
pub(crate) struct RawSmsc {
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    /// Ids for the next submits.
    ids: VecDeque<String>,
    to_write: VecDeque<Vec<u8>>,
    is_bound: bool,
    answers: Vec<String>,
}

impl RawSmsc {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn give_ids(&self, ids: impl Iterator<Item = String>) {
        self.lock().ids.extend(ids);
    }

    pub(crate) fn write(&self, pdu: Vec<u8>) {
        self.lock().to_write.push_back(pdu);
        self.wake.notify_one();
    }

    /// The answers since the last call.
    pub(crate) fn answers(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().answers)
    }

    /// Serves one connection.
    pub(crate) async fn serve(&self, mut stream: DuplexStream) {
        let mut buffer = Vec::new();
        loop {
            let mut out = Vec::new();
            while let Some(pdu) = take_pdu(&mut buffer) {
                out.extend(self.answer(&pdu));
            }
            {
                let mut inner = self.lock();
                if inner.is_bound {
                    out.extend(inner.to_write.drain(..).flatten());
                }
            }
            if !out.is_empty() && stream.write_all(&out).await.is_err() {
                break;
            }
            tokio::select! {
                read = stream.read_buf(&mut buffer) => match read {
                    Ok(octets) if octets > 0 => {}
                    _ => break,
                },
                () = self.wake.notified() => {}
            }
        }
        let mut inner = self.lock();
        inner.is_bound = false;
        inner.answers.push("the connection is closed".to_owned());
    }

    /// Answers requests, and notes answers.
    fn answer(&self, pdu: &[u8]) -> Vec<u8> {
        let (command, status, sequence) = (word(pdu, 4), word(pdu, 8), word(pdu, 12));
        let mut inner = self.lock();
        let body = match command {
            1 | 2 | 9 => {
                inner.is_bound = true;
                b"smsc\0".to_vec()
            }
            SUBMIT_SM => {
                let id = inner.ids.pop_front().expect("an id for each submit");
                [id.as_bytes(), b"\0"].concat()
            }
            _ if command & RESPONSE != 0 => {
                let name = match command & !RESPONSE {
                    0 => "generic_nack".to_owned(),
                    5 => "deliver_sm_resp".to_owned(),
                    0x0000_0103 => "data_sm_resp".to_owned(),
                    other => format!("answer to 0x{other:08X}"),
                };
                inner.answers.push(format!("{name} 0x{status:08X} for {sequence}"));
                return Vec::new();
            }
            _ => Vec::new(),
        };
        let mut out = Vec::with_capacity(HEADER + body.len());
        for word in [(HEADER + body.len()) as u32, command | RESPONSE, 0, sequence] {
            out.extend(word.to_be_bytes());
        }
        out.extend(body);
        out
    }
}

fn word(pdu: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(pdu[at..at + 4].try_into().unwrap())
}

fn take_pdu(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    if buffer.len() < HEADER {
        return None;
    }
    let length = word(buffer, 0) as usize;
    (buffer.len() >= length).then(|| buffer.drain(..length).collect())
}
