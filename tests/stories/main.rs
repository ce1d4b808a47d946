//! Stories: the binary as a process, against simulators and third-party peers. Each file is one
//! story, named as a sentence; all are one program, so that it is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "a test ends on the first surprise, and lives in real time"
)]

#[path = "../support/mod.rs"]
mod support;

mod a_customer_writes_and_the_business_answers;
mod a_destination_verifies_the_standard_signature;
mod a_lost_receipt_is_asked_for;
mod a_message_goes_out_and_its_receipt_comes_back;
mod a_webhook_is_taken_once_and_for_good;
mod an_http_provider_is_called;
mod an_operator_finds_what_happened;
mod an_operator_sees_why;
mod an_smsc_means_what_its_fields_say;
mod arrows_point_one_way;
mod bad_input_is_answered_and_harms_nobody;
mod cancel_expiry_priority;
mod channels_and_destinations_are_independent;
mod crash_loop;
mod damage_and_full_disks_lose_nothing_acknowledged;
mod faults_that_cost_others_messages;
mod independent_peers;
mod metrics_are_explained_and_watched;
mod mistakes;
mod power_cuts;
mod providers;
mod strangers_take_a_bounded_share;
mod the_configuration_changes_while_messages_flow;
mod the_examples_work;
mod the_interfaces_are_described;
mod the_page_is_for_everyone;
mod twelve_troubles_are_told_everywhere;
