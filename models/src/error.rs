//! Why a model cannot be used: each a sentence for the person at the keyboard.

use std::io;
use std::path::PathBuf;

use crate::manifest::ModelName;

/// Why a model file could not be read. Every message is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// A model file is not there.
    #[error("the model file {} is missing; fetch it with `attendance models pull`", path.display())]
    Missing {
        /// Which model.
        name: ModelName,
        /// Where it is looked for.
        path: PathBuf,
    },
    /// A model file is cut short, changed, or of another version.
    #[error("the model file {} is damaged or of another version; replace it with `attendance models pull`", path.display())]
    Damaged {
        /// Which model.
        name: ModelName,
        /// The file.
        path: PathBuf,
    },
    /// A model file is there and cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
