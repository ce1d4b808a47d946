//! A minimal ESME over an in-memory pipe, for the tests of the simulated SMSC.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::time::Duration;

use channels::smpp::pdu::{self, Address, Bind, BindKind, CommandId, IdReply, Pdu, PduHeader, ShortMessage};
use simulators::smsc::Smsc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinSet,
    time::timeout,
};

pub(crate) type Frame = (PduHeader, Vec<u8>);

/// A minimal ESME.
pub(crate) struct Client {
    pub(crate) stream: DuplexStream,
    sequence: u32,
    /// Serves the other end; the connection ends with it.
    _served: JoinSet<()>,
}

impl Client {
    pub(crate) fn connect(smsc: &Smsc) -> Self {
        let (ours, theirs) = duplex(1 << 20);
        let mut served = JoinSet::new();
        let smsc = smsc.clone();
        served.spawn(async move { smsc.serve(theirs).await });
        Self { stream: ours, sequence: 0, _served: served }
    }

    pub(crate) async fn bound(smsc: &Smsc) -> Self {
        let mut client = Self::connect(smsc);
        assert_eq!(client.bind(BindKind::Transceiver, "esme", "pw").await, 0);
        client
    }

    pub(crate) async fn write(&mut self, pdu: &Pdu<'_>, status: u32, sequence: u32) {
        let mut out = Vec::new();
        pdu::write(pdu, status, sequence, &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    pub(crate) async fn request(&mut self, pdu: &Pdu<'_>) -> u32 {
        self.sequence += 1;
        self.write(pdu, 0, self.sequence).await;
        self.sequence
    }

    pub(crate) async fn bind(&mut self, kind: BindKind, system_id: &str, password: &str) -> u32 {
        let bind = Bind {
            system_id: system_id.as_bytes(),
            password: password.as_bytes(),
            interface_version: 0x34,
            ..Bind::default()
        };
        self.request(&Pdu::Bind(kind, bind)).await;
        let (header, _) = self.read().await.unwrap();
        assert_eq!(header.command, kind.command().reply());
        header.status
    }

    pub(crate) async fn submit(&mut self, to: &str, text: &str) -> u32 {
        let message = ShortMessage {
            source: Address { ton: 0, npi: 1, text: b"5155" },
            destination: Address { ton: 1, npi: 1, text: to.as_bytes() },
            registered_delivery: 1,
            short_message: text.as_bytes(),
            ..ShortMessage::default()
        };
        self.request(&Pdu::SubmitSm(message)).await
    }

    /// Reads the next PDU; `None` when the connection ended.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await.ok()?;
        let mut pdu = length.to_vec();
        pdu.resize(u32::from_be_bytes(length) as usize, 0);
        self.stream.read_exact(&mut pdu[4..]).await.ok()?;
        Some((PduHeader::read(&pdu).unwrap(), pdu[16..].to_vec()))
    }

    /// Reads the next PDU; `None` if none arrives within a second.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        timeout(Duration::from_secs(1), self.read()).await.ok().flatten()
    }

    pub(crate) async fn ack(&mut self, header: PduHeader, status: u32) {
        self.write(&Pdu::DeliverSmResp(IdReply::default()), status, header.sequence).await;
    }

    /// Reads PDUs until a second of silence, and acknowledges deliveries.
    pub(crate) async fn drain(&mut self) -> Vec<Frame> {
        let mut all = Vec::new();
        while let Some((header, body)) = self.next().await {
            if header.command == CommandId::DELIVER_SM {
                self.ack(header, 0).await;
            }
            all.push((header, body));
        }
        all
    }
}

pub(crate) fn message_id(body: &[u8]) -> String {
    String::from_utf8(IdReply::read(body).0.message_id.to_vec()).unwrap()
}

pub(crate) fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(ShortMessage::read(body).unwrap().0.text()).into_owned()
}

pub(crate) fn commands(frames: &[Frame]) -> Vec<CommandId> {
    frames.iter().map(|(header, _)| header.command).collect()
}

pub(crate) const ANSWER: CommandId = CommandId(0x8000_0004);
pub(crate) const RECEIPT: CommandId = CommandId::DELIVER_SM;
