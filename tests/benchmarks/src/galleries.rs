//! Galleries of embeddings that both sides read from one file.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use attendance::ports::{Change, EnrollmentId, GalleryVersion};
use attendance::{Embedding, Gallery, StudentId};
use clap::Args;

/// Numbers in an embedding of the model in use.
const DIMENSIONS: usize = 128;
const SEED: u64 = 20_240_229;
/// The bytes of one embedding.
const EMBEDDING: usize = DIMENSIONS * 4;
/// Embeddings of one student.
pub(crate) const PER_STUDENT: usize = 4;
/// Half the width of the range in which students' centres lie: two of them are about 0.9 apart, as two strangers are.
const BETWEEN: f32 = 0.09;
/// The same for the embeddings of one student: about 0.4 apart, as two photographs of one person are.
const WITHIN: f32 = 0.04;

/// What `gallery` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Embeddings
    #[arg(long)]
    count: usize,
    /// The file: 128 little-endian f32 an embedding. Probes go beside it: <FILE>.enrolled, of people who are in it, and
    /// <FILE>.strangers
    #[arg(long, value_name = "FILE")]
    into: PathBuf,
}

/// Probes of each kind.
const PROBES: usize = 10;

/// Writes the three files, unless they are there.
pub(crate) fn write(options: &Options) -> Result<()> {
    let bytes = (options.count * EMBEDDING) as u64;
    if fs::metadata(&options.into).is_ok_and(|m| m.len() == bytes) && beside(&options.into, "strangers").exists() {
        return Ok(());
    }
    let partial = options.into.with_extension("partial");
    let mut file =
        BufWriter::new(File::create(&partial).with_context(|| format!("cannot write {}", partial.display()))?);
    let mut enrolled = BufWriter::new(File::create(beside(&options.into, "enrolled"))?);
    let mut strangers = BufWriter::new(File::create(beside(&options.into, "strangers"))?);
    let mut random = fastrand::Rng::with_seed(SEED);
    let every = (options.count / PER_STUDENT / PROBES).max(1);
    for student in 0..options.count.div_ceil(PER_STUDENT) {
        let centre: [f32; DIMENSIONS] = std::array::from_fn(|_| around(&mut random, BETWEEN));
        let near = |random: &mut fastrand::Rng| centre.map(|v| (v + around(random, WITHIN)).to_le_bytes());
        for _ in 0..PER_STUDENT.min(options.count - student * PER_STUDENT) {
            file.write_all(near(&mut random).as_flattened())?;
        }
        if student % every == every / 2 {
            enrolled.write_all(near(&mut random).as_flattened())?;
        }
    }
    for _ in 0..PROBES {
        let stranger: [f32; DIMENSIONS] = std::array::from_fn(|_| around(&mut random, BETWEEN));
        strangers.write_all(stranger.map(f32::to_le_bytes).as_flattened())?;
    }
    file.flush()?;
    enrolled.flush()?;
    strangers.flush()?;
    Ok(fs::rename(partial, &options.into)?)
}

/// The gallery in a file, [`PER_STUDENT`] embeddings a student; the student's id is the number of their first one. It is
/// read in pieces, so that reading takes little memory beside it.
pub(crate) fn read(path: &Path) -> Result<Gallery> {
    const STUDENTS_AT_ONCE: usize = 1024;
    let mut file = BufReader::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?);
    let mut gallery = Gallery::default();
    let mut bytes = Vec::new();
    for first in (0..).step_by(STUDENTS_AT_ONCE) {
        bytes.clear();
        let piece = (STUDENTS_AT_ONCE * PER_STUDENT * EMBEDDING) as u64;
        if file.by_ref().take(piece).read_to_end(&mut bytes)? == 0 {
            break;
        }
        let mut changes = Vec::new();
        for (student, embeddings) in (first..).zip(parse(&bytes)?.chunks(PER_STUDENT)) {
            changes.push(Change::Add {
                id: EnrollmentId(student as u128),
                student: StudentId::parse(&(student * PER_STUDENT).to_string())?,
                embeddings: embeddings.to_vec(),
            });
        }
        gallery = gallery.with_changes(changes, GalleryVersion::default());
    }
    Ok(gallery)
}

/// The embeddings in a file.
pub(crate) fn embeddings(path: &Path) -> Result<Vec<Embedding>> {
    parse(&fs::read(path).with_context(|| format!("cannot read {}", path.display()))?)
}

fn parse(bytes: &[u8]) -> Result<Vec<Embedding>> {
    ensure!(bytes.len().is_multiple_of(EMBEDDING), "the file holds no whole embeddings");
    Ok(bytes.chunks(EMBEDDING).map(Embedding::from_bytes).collect::<Result<_, _>>()?)
}

/// The file beside a gallery's with this ending.
fn beside(gallery: &Path, ending: &str) -> PathBuf {
    let mut name = gallery.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn around(random: &mut fastrand::Rng, half_width: f32) -> f32 {
    (random.f32() * 2.0 - 1.0) * half_width
}
