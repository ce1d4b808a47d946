//! The commands that ask the admin port of a running Patchbay: their arguments and their requests.

use channels::url::percent_encode;
use clap::Args;
use http::Method;
use serde_json::Value;

use super::{
    client::{Answer, Client, Port},
    table::{self, items},
};
use crate::{console, run::Failure};

/// Where the admin port is.
#[derive(Debug, Args)]
pub(super) struct AdminArguments {
    /// The URL of Patchbay's admin port
    #[arg(long, default_value = "http://127.0.0.1:9090", env = "PATCHBAY_ADMIN_URL")]
    url: String,
    /// The admin token
    #[arg(long, env = "PATCHBAY_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl AdminArguments {
    pub(super) fn client(&self) -> Result<AdminClient, Failure> {
        Client::new(Port::Admin, &self.url, self.token.clone()).map(|client| AdminClient { client })
    }
}

/// How a list of the admin port is asked for and shown.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// The largest number of lines
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Continue a list: the cursor that it named at its end
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    #[command(flatten)]
    admin: AdminArguments,
    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl ListArguments {
    /// Prints the list at a path as a table, with one line for each item; `none` if it is empty.
    pub(super) async fn show<const N: usize>(
        &self,
        path: &str,
        none: &str,
        columns: [&str; N],
        line: impl Fn(&Value) -> [String; N],
    ) -> Result<(), Failure> {
        let admin = self.admin.client()?;
        let parameters = [("limit", Some(self.limit.to_string())), ("after", self.after.clone())];
        let answer = admin.get(&with_query(path, &parameters)).await?;
        if self.json {
            console::line(answer.text());
            return Ok(());
        }
        let found: Value = admin.client().read(&answer)?;
        let rows: Vec<Vec<String>> = items(&found).iter().map(|item| line(item).into()).collect();
        if rows.is_empty() {
            console::line(none);
            return Ok(());
        }
        table::print(&columns, &rows);
        if let Some(next) = answer.next() {
            console::line(format!("more with --after {next}"));
        }
        Ok(())
    }
}

/// A client of the admin port.
pub(super) struct AdminClient {
    client: Client,
}

impl AdminClient {
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks for a list or a view.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.client.expect(Method::GET, path, None).await
    }

    /// Asks for a JSON view.
    pub(super) async fn view(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.get(path).await?;
        self.client.read(&answer)
    }

    /// Performs an action.
    pub(super) async fn act(&self, path: &str, order: &Value) -> Result<Answer, Failure> {
        self.client.expect(Method::POST, path, Some(order.to_string().into_bytes())).await
    }
}

/// Returns a path with a query of the parameters that are given.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(key, value)| value.as_ref().map(|value| (key, value)));
    let query: Vec<String> = given.map(|(key, value)| format!("{key}={}", percent_encode(value))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}
