//! Mistakes in the configuration and in requests. Each answer names the thing, the place (file and
//! line, or the field) and the fix.

#[path = "../../support/command_line.rs"]
mod command_line;
mod in_requests;
mod in_the_configuration;
mod in_what_the_provider_says;
