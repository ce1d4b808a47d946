//! The OpenAPI documents of both ports: an independent validator takes them, every route in them
//! exists, every route that exists is in them, and real answers are as they say.

use http::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Patchbay, Peer, Setup, Sink,
    cim::{self, DID, customer},
    peer::{With, python},
};

/// A running Patchbay with a history, the documents of its ports, and the answers it gave.
struct Stage {
    patchbay: Patchbay,
    documents: Value,
    answers: Vec<Value>,
    _peer: Peer,
    _sink: Sink,
}

impl Stage {
    async fn start() -> Self {
        let peer = Peer::start(With::Sim, json!({})).await;
        let sink = Sink::start().await;
        let setup = Setup::new()
            .destination("support", &sink.url, "give_up_after = \"1s\"")
            .channel("sms", DID, peer.port, "", "");
        let patchbay = setup.start().await;
        patchbay.until_channel("sms", "connected").await;
        patchbay.send(&cim::text("m-1", &customer(1), "Hello")).await;
        patchbay.until_status("m-1", "DELIVERED").await;
        let document =
            async |base: &str| patchbay.http.get(&format!("{base}/openapi.json")).await.unwrap().json();
        let documents =
            json!({ "public": document(&patchbay.public).await, "admin": document(&patchbay.admin).await });
        Self { patchbay, documents, answers: Vec::new(), _peer: peer, _sink: sink }
    }

    fn base(&self, port: &str) -> &str {
        if port == "public" { &self.patchbay.public } else { &self.patchbay.admin }
    }

    async fn ask(&self, port: &str, method: &str, path: &str, kind: &str, body: String) -> Answer {
        let method: Method = method.parse().unwrap();
        self.patchbay.http.ask(method, &format!("{}{path}", self.base(port)), kind, body).await.unwrap()
    }

    /// Asks, and keeps the answer as one to this path of the document.
    async fn keep(&mut self, port: &str, method: &str, described: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.ask(port, method, path, "application/json", body).await;
        let kind = answer.headers.get("content-type").map(|kind| kind.to_str().unwrap()).unwrap_or_default();
        self.answers.push(json!({
            "document": port, "path": described, "method": method, "status": answer.status,
            "type": kind.split(';').next().unwrap(), "body": answer.text,
        }));
        answer
    }
}

/// All routes of a document: path and method.
fn routes(document: &Value) -> Vec<(String, String)> {
    let of = |(path, operations): (&String, &Value)| {
        let methods = operations.as_object().unwrap().keys().map(|method| method.to_uppercase());
        methods.map(|method| (path.clone(), method)).collect::<Vec<_>>()
    };
    document["paths"].as_object().unwrap().iter().flat_map(of).collect()
}

fn filled(path: &str) -> String {
    path.replace("{action}", "pause")
        .replace("{channel}", "none")
        .replace("{id}", "none")
        .replace("{token}", "none")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_route_exists_and_no_other() {
    let stage = Stage::start().await;
    for (port, least) in [("public", 15), ("admin", 30)] {
        let all = routes(&stage.documents[port]);
        assert!(all.len() >= least, "{port}: {all:?}");
        for (path, method) in &all {
            // It never ends.
            if path == "/api/tail" {
                continue;
            }
            let answer = stage.ask(port, method, &filled(path), "application/json", String::new()).await;
            let code = serde_json::from_str::<Value>(&answer.text).map(|told| told["code"].clone());
            let code = code.ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default();
            let is_missing = ["unknown-route", "wrong-method", "wrong-port", "internal"].contains(&&*code);
            assert!(!is_missing, "{port}: {method} {path} is described: {} {}", answer.status, answer.text);
        }
        for (path, _) in &all {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                if all.contains(&(path.clone(), method.to_owned())) {
                    continue;
                }
                let answer = stage.ask(port, method, &filled(path), "application/json", String::new()).await;
                assert_eq!(answer.status, 405, "{port}: {method} {path} is not described: {}", answer.text);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_answers_are_as_described() {
    let mut stage = Stage::start().await;
    let session = stage.patchbay.message("m-1").await["sessionId"].as_str().unwrap().to_owned();
    let text = |id: &str| cim::text(id, &customer(2), "Hello");
    let messages = "/v1/messages";
    for (path, body) in [
        (messages, text("m-2")),
        (messages, text("m-2")),
        (messages, json!([text("m-3"), cim::text_from("9999", "m-4", &customer(2), "x")])),
        ("/v1/messages?plan=true", text("m-5")),
        (messages, cim::text_from("9999", "m-4", &customer(2), "x")),
        (messages, json!("x")),
        (messages, json!([])),
    ] {
        stage.keep("public", "POST", messages, path, body).await;
    }
    let by_id = [("/v1/messages/{id}", "m-1"), ("/v1/messages/{id}", "none")];
    let by_id = by_id.into_iter().chain([("/v1/sessions/{id}", &*session), ("/v1/sessions/{id}", "7")]);
    for (described, id) in by_id {
        stage.keep("public", "GET", described, &described.replace("{id}", id), Value::Null).await;
    }
    let opening = json!({"serviceIdentifier": DID, "customer": customer(3)});
    stage.keep("public", "POST", "/v1/sessions", "/v1/sessions", opening).await;
    stage.keep("public", "POST", "/v1/sessions", "/v1/sessions", json!({"customer": 7})).await;
    stage.keep("public", "DELETE", "/v1/messages/{id}", "/v1/messages/m-1", Value::Null).await;
    stage
        .keep("public", "DELETE", "/v1/sessions/{id}", &format!("/v1/sessions/{session}"), Value::Null)
        .await;
    for (path, _) in routes(&stage.documents["admin"]).into_iter().filter(|(_, method)| method == "GET") {
        if path == "/api/tail" {
            continue;
        }
        let id = match &*path {
            path if path.contains("/messages/") => "m-1",
            path if path.contains("/sessions/") => &*session,
            _ => "sms",
        };
        let query = match &*path {
            "/session" => format!("?id={session}"),
            "/channel" => "?id=sms".to_owned(),
            "/message" => "?id=m-1".to_owned(),
            _ => String::new(),
        };
        let asked = format!("{}{query}", path.replace("{id}", id));
        let answer = stage.keep("admin", "GET", &path, &asked, Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    let difference = format!("/api/sessions/{session}?at=2000000000000&diff=1000000000000");
    stage.keep("admin", "GET", "/api/sessions/{id}", &difference, Value::Null).await;
    stage.keep("admin", "GET", "/api/messages", "/api/messages?limit=x", Value::Null).await;
    for action in ["pause", "resume", "try-now", "cancel-queued", "restart"] {
        let path = format!("/api/channels/sms/{action}");
        stage.keep("admin", "POST", "/api/channels/{id}/{action}", &path, Value::Null).await;
    }
    for (path, body) in [
        ("/api/reload", json!({"plan": true})),
        ("/api/reload", json!({"plan": 1})),
        ("/api/dead-letters/replay", json!({})),
        ("/api/in-doubt", json!({"messageId": "none", "part": 1, "action": "fail"})),
    ] {
        stage.keep("admin", "POST", path, path, body).await;
    }
    let now = "/api/destinations/{id}/try-now";
    stage.keep("admin", "POST", now, "/api/destinations/support/try-now", Value::Null).await;
    let given = stage.patchbay.folder.path().join("described.json");
    std::fs::write(&given, json!({"documents": stage.documents, "answers": stage.answers}).to_string())
        .unwrap();
    let told = python("openapi.py", &[given.to_str().unwrap()]).await;
    println!("{told}");
    let expected = format!("2 documents and {} answers checked, 0 findings\n", stage.answers.len());
    assert!(told == expected && stage.answers.len() > 50, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_show_each_route_and_each_error() {
    let stage = Stage::start().await;
    for port in ["public", "admin"] {
        let page = stage.ask(port, "GET", "/docs", "", String::new()).await;
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self'"), "{policy}");
        for (path, method) in routes(&stage.documents[port]) {
            assert!(page.text.contains(&format!("<code>{method} {path}</code>")), "{port}: {method} {path}");
        }
        // Everything that it needs comes from here, and each link within the pages leads somewhere.
        let errors = stage.ask(port, "GET", "/docs/errors", "", String::new()).await;
        for link in page.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            match link.split_once('#') {
                Some(("", id)) => assert!(page.text.contains(&format!("id=\"{id}\"")), "{link}"),
                Some((_, id)) => assert!(errors.text.contains(&format!("id=\"{id}\"")), "{link}"),
                None => {
                    assert_eq!(stage.ask(port, "GET", link, "", String::new()).await.status, 200, "{link}")
                }
            }
        }
    }
}
