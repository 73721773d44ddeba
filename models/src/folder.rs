//! The models folder: what is there.

use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};

use crate::ModelsError;
use crate::manifest::{Manifest, Model, ModelName};

/// A folder with converted model files.
#[derive(Debug, Clone)]
pub struct ModelsDir {
    path: PathBuf,
}

/// What a model file is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There, with the right checksum.
    Ready,
    /// Not there.
    Missing,
    /// There, and not what the manifest says.
    Damaged,
}

impl ModelsDir {
    /// Returns the models in this folder, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the models folder of the checkout that this was compiled in: the default, and where tests look.
    #[must_use]
    pub fn of_checkout() -> Self {
        Self::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// Returns the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the model's file is, or would be.
    #[must_use]
    pub fn file(&self, name: ModelName) -> PathBuf {
        self.path.join(&name.model().file)
    }

    /// Returns the model file's bytes, which have the checksum in the manifest.
    ///
    /// # Errors
    /// [`ModelsError::Missing`], [`ModelsError::Damaged`], or it cannot be read.
    pub fn verify(&self, name: ModelName) -> Result<Vec<u8>, ModelsError> {
        let path = self.file(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ModelsError::Missing { name, path }),
            Err(source) => return Err(ModelsError::Unreadable { path, source }),
            Ok(bytes) => bytes,
        };
        match sha256(&bytes) == name.model().sha256 {
            true => Ok(bytes),
            false => Err(ModelsError::Damaged { name, path }),
        }
    }

    /// Returns what the model's file is like. Reads all of it.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn state(&self, name: ModelName) -> Result<State, ModelsError> {
        match self.verify(name) {
            Ok(_) => Ok(State::Ready),
            Err(ModelsError::Missing { .. }) => Ok(State::Missing),
            Err(ModelsError::Damaged { .. }) => Ok(State::Damaged),
            Err(error) => Err(error),
        }
    }

    /// Returns every model of the manifest with its state, for a table.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn list(&self) -> Result<Vec<(&'static Model, State)>, ModelsError> {
        let models = &Manifest::embedded().models;
        models.iter().map(|model| Ok((model, self.state(model.name)?))).collect()
    }

    /// Returns those of these models that have no file. Does not read the others, so it is quick enough for every start.
    #[must_use]
    pub fn missing(&self, names: &[ModelName]) -> Vec<ModelName> {
        names.iter().copied().filter(|&name| !self.file(name).is_file()).collect()
    }
}

/// Returns the SHA-256 of the bytes in lower-case hex, as the manifest has it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_missing_then_damaged() {
        assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let folder = std::env::temp_dir().join(format!("attendance-models-{}", std::process::id()));
        let (models, name) = (ModelsDir::new(&folder), ModelName::Landmarks);
        assert_eq!((models.state(name).unwrap(), models.missing(&[name])), (State::Missing, vec![name]));
        fs::create_dir_all(&folder).unwrap();
        fs::write(models.file(name), "cut short").unwrap();
        assert_eq!((models.state(name).unwrap(), models.missing(&[name])), (State::Damaged, vec![]));
        fs::remove_dir_all(&folder).unwrap();
    }
}
