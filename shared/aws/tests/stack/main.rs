//! The adapters on a local stack: the contract suites, faults in between, and what only these adapters do.
//!
//! `cargo xtask test --only aws` starts the stack and runs this; its address is in `ATTENDANCE_TEST_STACK`.

mod contract;
mod faults;
mod gallery;
mod inbox;
mod measure;
mod outbox;
mod proxy;
mod push;
mod storage;
mod wakeups;
