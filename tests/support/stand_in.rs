//! A stand-in for the ports of a running Patchbay: answers requests as a test says, and keeps them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// An answer: its status, its further headers with line ends, and its body.
pub(crate) type Canned = (u16, &'static str, String);

/// The server; its thread ends with the test's process.
pub(crate) struct StandIn {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    /// Starts it. `answer` gets the method with the path and query, and the body.
    pub(crate) fn start(answer: impl Fn(&str, &str) -> Canned + Send + 'static) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", tcp.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                // A client that leaves early is none of its concern.
                let _ = serve(stream, &answer, &kept);
            }
        });
        Self { url, asked }
    }

    /// Returns the requests since the last call: method, path with query, and body.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(
    stream: TcpStream,
    answer: &impl Fn(&str, &str) -> Canned,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    reader.read_line(&mut head)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (head, body) = (head.rsplit_once(' ').unwrap_or_default().0, String::from_utf8_lossy(&body));
    let (status, headers, text) = answer(head, &body);
    asked.lock().unwrap().push(format!("{head} {body}").trim_end().to_owned());
    let length = text.len();
    let whole = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{text}"
    );
    reader.get_mut().write_all(whole.as_bytes())
}
