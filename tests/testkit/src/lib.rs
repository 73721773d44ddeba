//! What the tests of all crates share: fakes that hold state, and the contract suites of the ports.
//!
//! A suite is one function a port, written against the trait alone. It takes a way to make fresh storage, which gives a
//! way to open independent handles onto that storage: two handles stand for two processes.

mod clock;
pub mod contract;
mod engine;
mod events;
mod gallery;
mod pictures;
mod ports;
mod push;
mod wakeups;
mod webhook;

pub use clock::FakeClock;
pub use engine::{FakeEngine, FakeFace, face, picture};
pub use events::{FakeEvents, sighting};
pub use gallery::{FakeGallery, FakeInbox};
pub use pictures::{models, sample};
pub use ports::{START, ports};
pub use push::FakePush;
pub use wakeups::FakeWakeups;
pub use webhook::{Delivery, FakeWebhook, answered, delivered, failed};
