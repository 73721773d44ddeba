//! The cases, by what a client wants. Each begins with nobody enrolled and leaves a service that works.

pub mod access;
pub mod events;
pub mod pages;
pub mod people;
pub mod refusals;
pub mod watching;
