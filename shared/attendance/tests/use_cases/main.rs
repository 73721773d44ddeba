//! The use cases, over fakes that hold state.

mod bulk;
mod cooldown;
mod deliver;
mod enroll;
mod entry;
mod gallery;
mod realtime;
mod recognize;
mod retry;
mod school;
mod wakeups;
