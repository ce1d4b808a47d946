//! The providers' side: what answers Patchbay in the demo, in tests and in benches, with faults on
//! demand. Nothing here is part of the router, and nothing here may reach a real provider.

mod contract;
mod engine;
mod family;
mod provider;
pub mod rest;
pub mod smsc;
mod toolkit;
