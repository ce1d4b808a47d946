//! The client over real sockets: what is written, what is read, which addresses are refused, and
//! whether anything left.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actors::{
    egress::{Place, Proxy, Route},
    seams::{Call, CallError, HttpClient},
};
use bytes::Bytes;
use channels::http::{Body, Field, Request, Response};
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::*;

/// Reads one request: its head and the body it announces.
async fn heard(stream: &mut TcpStream) -> Option<String> {
    let mut octets = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&octets).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
    }
}

/// Starts a server that answers each request with the next of these answers and records what it
/// gets. An empty answer closes the connection.
async fn server(answers: Vec<String>) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        while let Ok((mut stream, _)) = tcp.accept().await {
            while let Some(request) = heard(&mut stream).await {
                _ = tell.send(request);
                match answers.next() {
                    Some(answer) if !answer.is_empty() => _ = stream.write_all(answer.as_bytes()).await,
                    _ => break,
                }
            }
        }
    });
    (address, told)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nX-Odd: 1\r\n\r\n{body}", body.len())
}

/// Returns a route that may lead to this machine.
fn home() -> Arc<Route> {
    let allow_private = vec![Place::parse("127.0.0.0/8").unwrap()];
    Arc::new(Route { channel: "c".into(), allow_private, ..Route::default() })
}

async fn ask(request: Request, route: Arc<Route>) -> Result<Response, CallError> {
    ProviderClient::new(64).call(Call::api(Arc::new(request), route)).await
}

#[tokio::test]
async fn a_form_a_multipart_and_json_are_written_as_they_should_be() {
    let (address, mut told) = server(vec![ok("1"), ok("2"), ok("3"), ok("4")]).await;
    let client = ProviderClient::new(64);
    let url = format!("http://{address}/a?b=c%20d");
    let form = Body::Form(vec![("to", "+49 1".into()), ("text", "a&b=ä".into())]);
    let file = Field {
        name: "file",
        file_name: Some("a \"b\"\r\n.png".into()),
        content_type: Some("image/png\r\nX-Evil: 1".into()),
        value: Bytes::from_static(b"patchbay-00000000000000000000\x00\xff"),
    };
    let bodies = [
        form,
        Body::Multipart(vec![Field::text("chat", "7"), file]),
        Body::Json("{\"a\":1}".into()),
        Body::None,
    ];
    let mut requests = Vec::new();
    for body in bodies {
        let request =
            Request::post(&url, body).secret_header("Authorization", "Bearer s3cret").header("accept", "x/y");
        let answer = client.call(Call::api(Arc::new(request), home())).await.unwrap();
        assert_eq!((answer.status, answer.header("x-odd")), (200, Some("1")));
        requests.push(told.recv().await.unwrap());
    }
    let [form, multipart, json, none] = &requests[..] else { panic!() };
    for request in &requests {
        assert!(request.starts_with("POST /a?b=c%20d HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: {address}\r\n")), "{request}");
        assert!(request.contains("authorization: Bearer s3cret\r\n") && request.contains("accept: x/y\r\n"));
    }
    assert!(form.contains("content-type: application/x-www-form-urlencoded"), "{form}");
    assert!(form.ends_with("\r\n\r\nto=%2B49%201&text=a%26b%3D%C3%A4"), "{form}");
    // The boundary was changed because the content holds the first choice.
    assert!(
        multipart.contains("multipart/form-data; boundary=patchbay-00000000000000000001\r\n"),
        "{multipart}"
    );
    let disposition = "Content-Disposition: form-data; name=\"file\"; filename=\"a %22b%22%0D%0A.png\"\r\n\
        Content-Type: image/pngX-Evil: 1\r\n\r\n";
    assert!(multipart.contains(disposition), "{multipart}");
    assert!(multipart.ends_with("\r\n--patchbay-00000000000000000001--\r\n"), "{multipart}");
    assert!(json.contains("content-type: application/json") && json.ends_with("{\"a\":1}"), "{json}");
    assert!(none.contains("content-length: 0"), "{none}");
}

#[tokio::test]
async fn answers_are_cut_at_their_limit_and_heads_are_bounded() {
    let large = "x".repeat(300_000);
    let many: String = (0..200).map(|n| format!("h{n}: 1\r\n")).collect();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{many}\r\n");
    let (address, _told) = server(vec![ok(&large), ok("next"), head]).await;
    let request = || Request { answer_bytes_max: 1_000, ..Request::get(format!("http://{address}/")) };
    assert_eq!(ask(request(), home()).await.unwrap().body.len(), 1_000);
    assert_eq!(ask(request(), home()).await.unwrap().body, "next", "another connection");
    let error = ask(request(), home()).await.unwrap_err();
    assert!(error.left(), "{error:?}");
}

#[tokio::test]
async fn it_is_known_whether_something_left() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = ask(Request::get(format!("http://{unused}/")), home()).await.unwrap_err();
    assert!(!refused.left() && refused.reason.contains("refused"), "{refused:?}");
    for (url, word) in
        [("no url", "URL"), ("ftp://x/", "neither"), ("http://patchbay.invalid/", "patchbay.invalid")]
    {
        let error = ask(Request::get(url), home()).await.unwrap_err();
        assert!(!error.left() && error.reason.contains(word), "{error:?}");
    }
    let bad = Request::get(format!("http://{unused}/")).secret_header("Authorization", "line\nbreak");
    let (address, _told) = server(vec![ok("1"), String::new(), ok("2")]).await;
    let error = ask(Request { url: format!("http://{address}/"), ..bad }, home()).await.unwrap_err();
    assert!(!error.left() && !error.reason.contains("break"), "{error:?}");

    // The second request is read and never answered; the third gets a connection of its own.
    let client = ProviderClient::new(64);
    let call = || Call::api(Arc::new(Request::get(format!("http://{address}/"))), home());
    assert_eq!(client.call(call()).await.unwrap().body, "1");
    let lost = call();
    assert!(!lost.left.get());
    let error = client.call(lost.clone()).await.unwrap_err();
    assert!(error.left() && lost.left.get(), "{error:?}");
    assert_eq!(client.call(call()).await.unwrap().body, "2");
}

#[tokio::test]
async fn what_is_not_public_is_not_dialled_unless_named() {
    let (address, mut told) = server(vec![ok("1"), ok("2"), ok("3")]).await;
    let port = address.port();
    let closed = Arc::new(Route { channel: "c".into(), ..Route::default() });
    for host in
        ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "10.0.0.1", "[::1]"]
    {
        let error = ask(Request::get(format!("http://{host}:{port}/")), closed.clone()).await.unwrap_err();
        assert!(!error.left() && error.reason.contains("allow_private"), "{host}: {error:?}");
    }
    assert!(told.try_recv().is_err(), "something was dialled");
    let named = |text: &str| {
        let allow_private = vec![Place::parse(text).unwrap()];
        Arc::new(Route { channel: "c".into(), allow_private, ..Route::default() })
    };
    for place in ["localhost", "127.0.0.0/8"] {
        assert_eq!(
            ask(Request::get(format!("http://localhost:{port}/")), named(place)).await.unwrap().status,
            200
        );
    }
    let other = ask(Request::get(format!("http://127.0.0.1:{port}/")), named("localhost")).await.unwrap_err();
    assert!(other.reason.contains("loopback"), "{other:?}");
}

#[tokio::test]
async fn a_file_is_fetched_over_redirects_without_the_credentials() {
    let (elsewhere, mut told_elsewhere) = server(vec![ok("the file")]).await;
    let moved = |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    let (address, mut told) = server(vec![
        moved("/again"),
        moved("x?y"),
        moved(&format!("http://localhost:{}/f", elsewhere.port())),
    ])
    .await;
    let allow = |text: &str| Place::parse(text).unwrap();
    let route = Arc::new(Route {
        channel: "c".into(),
        allow_private: vec![allow("127.0.0.1"), allow("localhost")],
        ..Route::default()
    });
    let request = Arc::new(
        Request::get(format!("http://{address}/media/1")).secret_header("Authorization", "Bearer s"),
    );
    let client = ProviderClient::new(64);
    let file = client.call(Call::file(request.clone(), route.clone())).await.unwrap();
    assert_eq!(file.body, "the file");
    for path in ["/media/1", "/again", "/x?y"] {
        let request = told.recv().await.unwrap();
        assert!(
            request.starts_with(&format!("GET {path} ")) && request.contains("authorization"),
            "{request}"
        );
    }
    let request_elsewhere = told_elsewhere.recv().await.unwrap();
    assert!(!request_elsewhere.contains("authorization"), "{request_elsewhere}");

    // The answer of an API is returned as it is; following redirects to a file stops at private
    // addresses and at loops.
    let (address, _told) = server(vec![moved("/1"), moved("http://10.0.0.1/")]).await;
    let request = Arc::new(Request::get(format!("http://{address}/")));
    assert_eq!(client.call(Call::api(request.clone(), route.clone())).await.unwrap().status, 302);
    let refused = client.call(Call::file(request, route.clone())).await.unwrap_err();
    assert!(refused.reason.contains("private"), "{refused:?}");
    let (ring, _told) = server((0..9).map(|_| moved("/")).collect()).await;
    let request = Arc::new(Request::get(format!("http://{ring}/")));
    let endless = client.call(Call::file(request, route)).await.unwrap_err();
    assert!(endless.reason.contains("redirects"), "{endless:?}");
}

#[tokio::test]
async fn a_file_comes_whole_or_not_at_all() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n0\r\n\r\n".to_owned();
    let (address, _told) = server(vec![ok("12345678"), chunked, ok("1234")]).await;
    let request = Arc::new(Request { answer_bytes_max: 4, ..Request::get(format!("http://{address}/")) });
    let client = ProviderClient::new(64);
    for _ in 0..2 {
        let error = client.call(Call::file(request.clone(), home())).await.unwrap_err();
        assert!(error.reason.contains("larger than 4"), "{error:?}");
    }
    assert_eq!(client.call(Call::file(request, home())).await.unwrap().body, "1234");
}

fn through(proxy: SocketAddr, no_proxy: &[&str]) -> Arc<Route> {
    Arc::new(Route {
        channel: "c".into(),
        proxy: Some(Proxy {
            host: proxy.ip().to_string().into(),
            port: proxy.port(),
            authorization: Some("Basic dTpw".into()),
        }),
        no_proxy: no_proxy.iter().map(|p| Place::parse(p).unwrap()).collect(),
        ..Route::default()
    })
}

#[tokio::test]
async fn a_proxy_is_asked_in_the_absolute_form_and_for_tunnels() {
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n".to_owned();
    let (proxy, mut told) = server(vec![ok("by proxy"), refusal]).await;
    let route = through(proxy, &[".house.example"]);
    let answer = ask(Request::get("http://api.example/x?y=1"), route.clone()).await.unwrap();
    assert_eq!(answer.body, "by proxy");
    let request = told.recv().await.unwrap();
    assert!(request.starts_with("GET http://api.example/x?y=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("proxy-authorization: Basic dTpw\r\n"), "{request}");
    assert!(request.contains("host: api.example\r\n"), "{request}");

    let error = ask(Request::get("https://api.example/"), route.clone()).await.unwrap_err();
    assert!(!error.left() && error.reason.contains("407") && !error.reason.contains("dTpw"), "{error:?}");
    let request = told.recv().await.unwrap();
    assert!(request.starts_with("CONNECT api.example:443 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Proxy-Authorization: Basic dTpw\r\n"), "{request}");

    // Addresses of this machine stay refused, and hosts in no_proxy bypass the proxy.
    for url in ["http://127.0.0.1/", "http://localhost/", "https://10.0.0.1/"] {
        let error = ask(Request::get(url), route.clone()).await.unwrap_err();
        assert!(error.reason.contains("allow_private"), "{url}: {error:?}");
    }
    let error = ask(Request::get("http://a.house.example/"), route).await.unwrap_err();
    assert!(!error.left() && told.try_recv().is_err(), "{error:?}");
}

/// Starts a proxy that leads every tunnel to one address.
async fn tunnelling(to: SocketAddr) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test's proxy")]
    tokio::spawn(async move {
        while let Ok((mut near, _)) = tcp.accept().await {
            heard(&mut near).await.unwrap();
            let mut far = TcpStream::connect(to).await.unwrap();
            near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
    });
    address
}

#[tokio::test]
async fn tls_goes_through_the_tunnel_and_trusts_the_channels_own_roots_only() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["api.example".into()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = crate::config::Tls::Files { cert: cert.clone(), key };
    let acceptor = crate::http::tls::acceptor(&files).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            if let Ok(mut tls) = acceptor.accept(stream).await {
                let mut some = vec![0; 4096];
                _ = tls.read(&mut some).await;
                _ = tls.write_all(ok("secretly").as_bytes()).await;
            }
        }
    });
    let proxy = tunnelling(address).await;
    let trusting = Route { trust: Some(cert.into()), ..Route::clone(&through(proxy, &[])) };
    let answer = ask(Request::get("https://api.example/"), Arc::new(trusting)).await.unwrap();
    assert_eq!(answer.body, "secretly");
    let stranger = ask(Request::get("https://api.example/"), through(proxy, &[])).await.unwrap_err();
    assert!(!stranger.left() && stranger.reason.contains("UnknownIssuer"), "{stranger:?}");
}

#[tokio::test]
async fn connections_are_used_again_but_never_another_channels() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let (tell, mut opened) = mpsc::unbounded_channel();
    #[allow(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            _ = tell.send(());
            tokio::spawn(async move {
                while heard(&mut stream).await.is_some() {
                    _ = stream.write_all(ok("ok").as_bytes()).await;
                }
            });
        }
    });
    let client = ProviderClient::new(64);
    let of = |channel: &str| Arc::new(Route { channel: channel.into(), ..Route::clone(&home()) });
    for channel in ["a", "a", "b", "a", "b"] {
        let request = Arc::new(Request::get(format!("http://{address}/")));
        let call = Call::api(request, of(channel));
        tokio::time::timeout(Duration::from_secs(10), client.call(call)).await.unwrap().unwrap();
    }
    opened.recv().await.unwrap();
    opened.recv().await.unwrap();
    assert!(opened.try_recv().is_err(), "one connection for each channel");
}

proptest! {
    #[test]
    fn no_address_and_no_redirect_breaks_the_reader(url in "\\PC{0,80}", location in "\\PC{0,80}") {
        let _ = write::CallTarget::of(&url);
        let base = write::CallTarget::of("https://api.example/a/b").unwrap();
        if let Ok(next) = base.follow(&location) {
            prop_assert!(next.tls(), "{location} leads to plain http");
        }
    }

    #[test]
    fn a_boundary_stands_in_no_field(octets in prop::collection::vec(any::<u8>(), 0..200), number in 0u64..4) {
        let mut value = octets;
        value.extend_from_slice(format!("--patchbay-{number:020}\r\n").as_bytes());
        let body = Body::Multipart(vec![Field { value: Bytes::from(value), ..Field::text("f", "") }]);
        let target = write::CallTarget::of("https://api.example/").unwrap();
        let written = write::request(&Request::post("https://api.example/", body), &target, None).unwrap();
        let kind = written.headers()["content-type"].to_str().unwrap().to_owned();
        let boundary = kind.rsplit('=').next().unwrap();
        prop_assert_eq!(boundary.ends_with(&format!("{number:020}")), false);
    }
}
