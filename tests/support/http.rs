//! An HTTP client for the stories: JSON in both directions, over persistent connections.

use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// A client; clones share its connections.
#[derive(Clone)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|e| panic!("no JSON ({e}): {} {}", self.status, self.text))
    }
}

impl Default for Http {
    fn default() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(tcp))
    }
}

impl Http {
    pub(crate) async fn ask(
        &self,
        method: Method,
        url: &str,
        kind: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let (status, headers, body) = self.octets(method, url, kind, body).await?;
        Ok(Answer { status, headers, text: String::from_utf8(body.to_vec()).expect("answers are UTF-8") })
    }

    /// Sends a request whose answer may have any body.
    pub(crate) async fn octets(
        &self,
        method: Method,
        url: &str,
        kind: &str,
        body: impl Into<Bytes>,
    ) -> Result<(u16, HeaderMap, Bytes), String> {
        self.with(method, url, &[("content-type", kind)], body).await
    }

    /// Sends a request with further headers.
    pub(crate) async fn with(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<(u16, HeaderMap, Bytes), String> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("the request is well-formed");
        let answer = self.0.request(request).await.map_err(|e| format!("{url}: {e:?}"))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.into_body().collect().await.map_err(|e| format!("{url}: {e:?}"))?.to_bytes();
        Ok((status, headers, body))
    }

    pub(crate) async fn get(&self, url: &str) -> Result<Answer, String> {
        self.ask(Method::GET, url, "application/json", "").await
    }

    pub(crate) async fn post(&self, url: &str, body: impl Into<Bytes>) -> Result<Answer, String> {
        self.ask(Method::POST, url, "application/json", body).await
    }
}
