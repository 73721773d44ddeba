//! The contract suites: one function a port, run by the fakes and by every adapter. A broken guarantee panics.

mod events;
mod gallery;
mod inbox;
mod push;

use std::sync::Arc;

use attendance::ports::{Push, Subscribers};

pub use events::event_store;
pub use gallery::gallery_store;
pub use inbox::{DropBox, inbox};
pub use push::push;

/// Opens another handle onto one storage, as another process would.
pub type Open<P> = Box<dyn Fn() -> Arc<P> + Send + Sync>;

/// The closure as an [`Open`].
pub fn opener<P: ?Sized>(open: impl Fn() -> Arc<P> + Send + Sync + 'static) -> Open<P> {
    Box::new(open)
}

/// A push with its own subscribers.
pub trait SubscribedPush: Push + Subscribers {}

impl<T: Push + Subscribers> SubscribedPush for T {}
