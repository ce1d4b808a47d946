//! `patchbay openapi`: the description of the HTTP interfaces, for programs that make clients.

use clap::Args;

use crate::{
    console,
    http::{
        admin::admin_docs,
        docs::{DescribedPort, document},
        public::public_docs,
    },
};

const EXAMPLES: &str = "Examples:\n  patchbay openapi > patchbay.json\n  patchbay openapi --admin";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct OpenApiArguments {
    /// Describe the admin port instead of the send API
    #[arg(long)]
    admin: bool,
}

pub(super) fn perform(arguments: &OpenApiArguments) {
    let described = match arguments.admin {
        true => document(DescribedPort::Admin, &admin_docs()),
        false => document(DescribedPort::Public, &public_docs()),
    };
    console::line(format!("{described:#}"));
}
