//! The outbox: accepted events, from the cooldown that they take to their end.
//!
//! [`OutboxEntry`], [`Cooldown`] and [`RetryPolicy`] are the rules. [`Entries`] applies them to what an
//! [`EventStore`](crate::ports::EventStore) holds, [`Deliverer`] makes the tries, and [`Outbox`] is what a person sees.

mod cooldown;
mod deliver;
mod entries;
mod entry;
mod retry;
mod view;

pub use cooldown::Cooldown;
pub use deliver::Deliverer;
pub use entries::Entries;
pub use entry::{Claim, ENDED_KEPT, EventPage, OutboxEntry, Revision};
pub use retry::{InvalidSchedule, RetryPolicy};
pub use view::Outbox;
