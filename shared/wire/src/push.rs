//! What the service pushes to subscribers.
