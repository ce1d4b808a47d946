//! Stories: the binary as a process, against simulators and third-party peers. One story per file, named as a
//! sentence; one program, so that it is linked once.

#[path = "../support/mod.rs"]
mod support;

mod a_customer_writes_and_the_business_answers;
mod a_message_goes_out_and_its_receipt_comes_back;
mod bad_input_is_answered_and_harms_nobody;
mod cancel_expiry_priority;
mod crash_loop;
mod damage_and_full_disks_lose_nothing_acknowledged;
mod faults_that_cost_others_messages;
mod independent_peers;
