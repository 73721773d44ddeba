//! The face models as the service loads them: what they are ([`Manifest`]), where they are ([`ModelsDir`]), and what
//! their files hold ([`dlib`], [`landmarks`]).
//!
//! No weights are in the repository. The crate `attendance-convert` fetches the packages that publish them, converts them,
//! and puts files of known checksums into the models folder; [`ModelsDir::verify`] reads one for use.

#![forbid(unsafe_code)]

pub mod dlib;
mod error;
mod folder;
pub mod landmarks;
mod manifest;

pub use dlib::FormatError;
pub use error::ModelsError;
pub use folder::{ModelsDir, State, sha256};
pub use manifest::{
    EmbeddingSpec, Manifest, Member, Model, ModelName, Need, Sample, Source, SourceKind, UnknownModel, embedding_model,
};
