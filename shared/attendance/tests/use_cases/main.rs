//! The use cases, over fakes that hold state.

mod deliver;
mod enroll;
mod gallery;
mod realtime;
mod recognize;
mod retry;
mod school;
mod wakeups;
