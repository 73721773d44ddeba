//! The cases that need a running service and nothing else. Each begins with nobody enrolled and leaves a service that works.

pub mod access;
pub mod events;
pub mod messages;
pub mod pages;
pub mod people;
pub mod refusals;
