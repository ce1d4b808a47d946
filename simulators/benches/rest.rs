//! Prints how many messages a second a simulated REST provider takes over loopback TCP, running on one thread.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench prints and reads the clock")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench may fail loudly")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Instant,
};

use simulators::{
    rest::{Options, Script, serve},
    smsc::Remember,
};

/// Requests written at once on a connection, before their answers are read.
const BATCH: usize = 50;
const BATCHES: usize = 400;
const CONNECTIONS: usize = 4;

/// Starts a provider on a thread of its own, and gives its address.
fn start(options: Options) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            serve(listener, options, std::future::pending()).await.unwrap();
        });
    });
    told.recv().unwrap()
}

fn drive(address: SocketAddr, request: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let batch = request.repeat(BATCH);
    let (mut buffer, mut unread) = ([0; 64 * 1024], Vec::new());
    for _ in 0..BATCHES {
        stream.write_all(batch.as_bytes()).unwrap();
        let mut answers = 0;
        while answers < BATCH {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the connection was closed");
            unread.extend_from_slice(&buffer[..count]);
            let found = unread.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
            answers += found;
            assert!(!String::from_utf8_lossy(&unread).contains("HTTP/1.1 4"), "a message was refused");
            // What may be the beginning of a status line stays.
            let keep = unread.len().saturating_sub(8);
            unread.drain(..keep);
        }
    }
}

fn main() {
    let body =
        r#"{"from":"+15550100001","to":"+15550100002","text":"hello, this is a message of a usual length"}"#;
    let request = format!(
        "POST /send HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sim-api-key\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    for remember in [Remember::Counts, Remember::All] {
        let script = Script { remember, ..Script::default() };
        let address = start(Options { provider: "general".to_owned(), script, ..Options::default() });
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| drive(address, &request));
            }
        });
        #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
        let rate = (CONNECTIONS * BATCH * BATCHES) as f64 / begun.elapsed().as_secs_f64();
        println!("remembering {remember:?}: {rate:.0} messages a second");
    }
}
