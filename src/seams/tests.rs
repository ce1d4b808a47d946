//! The seams over real sockets: the contents of a POST, reuse of connections, verification of TLS.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actors::seams::{Connector, Ids, Post, Poster, Target, Tls, WebhookSignature};
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::{Request, body::Incoming};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{mpsc, watch},
};

use super::*;
use crate::{config::EdgeLimits, http::serve::Listener};

const LIMITS: EdgeLimits = EdgeLimits {
    max_in_flight: 16,
    body_bytes_max: 1024,
    connections_max: 16,
    header_timeout: Duration::from_secs(5),
    ..EdgeLimits::DEFAULT
};

/// Starts a destination that records what it gets and answers 429 with a pause and a large body.
async fn destination() -> (SocketAddr, mpsc::UnboundedReceiver<http::request::Parts>, watch::Sender<bool>) {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).await.unwrap();
    let address = listener.address();
    let (tell, told) = mpsc::unbounded_channel();
    let (stop, stopping) = watch::channel(false);
    let handle = move |_, request: Request<Incoming>| {
        _ = tell.send(request.into_parts().0);
        async {
            Response::builder()
                .status(StatusCode::TOO_MANY_REQUESTS)
                .header("retry-after", "7")
                .body(Body::from(vec![b'x'; 10_000]))
                .unwrap()
        }
    };
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(listener.serve(LIMITS, handle, stopping));
    (address, told, stop)
}

fn post(url: &str) -> Post {
    Post {
        url: url.into(),
        event_id: "feed-7".into(),
        signature: Some("sha256=00".into()),
        webhook: Some(WebhookSignature { timestamp_s: 7, signatures: "v1,AA== v1,AQ==".into() }),
        body: Bytes::from_static(b"{}"),
    }
}

#[tokio::test]
async fn a_post_carries_its_headers_and_tells_the_pause_asked_for() {
    let (address, mut told, _stop) = destination().await;
    let poster = HttpPoster::new(None).unwrap();
    for _ in 0..3 {
        let answer = poster.post(post(&format!("http://{address}/cim"))).await.unwrap();
        assert_eq!((answer.status, answer.retry_after_s), (429, Some(7)));
        let head = told.recv().await.unwrap();
        let header = |name: &str| head.headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/cim"));
        assert_eq!(header("x-patchbay-event-id"), "feed-7");
        assert_eq!(header("x-patchbay-signature"), "sha256=00");
        assert_eq!(header("webhook-id"), "feed-7");
        assert_eq!(header("webhook-timestamp"), "7");
        assert_eq!(header("webhook-signature"), "v1,AA== v1,AQ==");
        assert_eq!(header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn a_post_that_cannot_be_made_says_why() {
    let poster = HttpPoster::new(None).unwrap();
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = poster.post(post(&format!("http://{unused}/"))).await.unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
    assert!(poster.post(post("no url")).await.unwrap_err().contains("cannot be used"));
}

/// Starts a server that answers the given number of requests on each connection and then closes it
/// without announcing that; reports every connection.
async fn closing_after(
    requests: usize,
) -> (SocketAddr, mpsc::UnboundedReceiver<()>, mpsc::UnboundedReceiver<()>) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let ((opened, opens), (closed, closes)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            _ = opened.send(());
            for _ in 0..requests {
                let mut request = Vec::new();
                while !request.ends_with(b"{}") {
                    if stream.read_buf(&mut request).await.unwrap() == 0 {
                        break;
                    }
                }
                _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
            drop(stream);
            _ = closed.send(());
        }
    });
    (address, opens, closes)
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_the_peer_closed_is_not() {
    let (address, mut opens, mut closes) = closing_after(3).await;
    let poster = HttpPoster::new(None).unwrap();
    let url = format!("http://{address}/cim");
    for round in 0..4 {
        for _ in 0..3 {
            let answer = poster.post(post(&url)).await.unwrap_or_else(|e| panic!("round {round}: {e}"));
            assert_eq!(answer.status, 200);
        }
        closes.recv().await.unwrap();
        // Lets the runtime poll its sockets before this task goes on.
        tokio::task::yield_now().await;
        opens.recv().await.unwrap();
        assert!(opens.try_recv().is_err(), "three POSTs take one connection");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_its_connection_is_gone() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(async move {
        for answer in ["HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"] {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut some = [0; 16];
            _ = stream.read(&mut some).await;
            _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let poster = HttpPoster::new(None).unwrap();
    let url = format!("http://{address}/");
    poster.post(post(&url)).await.unwrap_err();
    assert_eq!(poster.post(post(&url)).await.unwrap().status, 200);
}

/// Starts an echoing TLS server with a self-signed certificate; returns the certificate's PEM file.
async fn echo(folder: &std::path::Path) -> (u16, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = crate::config::Tls::Files { cert: cert.clone(), key };
    let acceptor = crate::http::tls::acceptor(&files).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            if let Ok(mut tls) = acceptor.accept(stream).await {
                let mut buffer = [0; 4];
                if tls.read_exact(&mut buffer).await.is_ok() {
                    _ = tls.write_all(&buffer).await;
                }
            }
        }
    });
    (port, cert)
}

#[tokio::test]
async fn a_tls_link_trusts_its_own_roots_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (port, cert) = echo(folder.path()).await;
    let connector = TcpConnector::default();
    let target = |roots: Option<&str>| Target {
        host: "localhost".into(),
        port,
        tls: Tls::trusting(roots.map(Arc::from)),
    };
    let mut stream = connector.connect(target(cert.to_str())).await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");
    let Err(stranger) = connector.connect(target(None)).await else {
        panic!("an unknown issuer was trusted")
    };
    assert!(stranger.to_string().contains("UnknownIssuer"), "{stranger}");
    let Err(missing) = connector.connect(target(Some("none.pem"))).await else {
        panic!("no roots were enough")
    };
    assert!(missing.to_string().contains("none.pem"), "{missing}");
}

#[test]
fn ids_rise_and_jitter_stays_below() {
    let ids: Vec<_> = (0..1_000).map(|_| RandomIds.message_id()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "the order of time is the order of ids");
    assert!((0..1_000).all(|_| RandomIds.jitter(10) < 10));
    assert!((0..100).any(|_| RandomIds.jitter(u64::MAX) != RandomIds.jitter(u64::MAX)));
    assert_eq!(RandomIds.jitter(0), 0);
}
