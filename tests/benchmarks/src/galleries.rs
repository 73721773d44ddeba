//! Galleries of embeddings that both sides read from one file.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use attendance::ports::{Change, EnrollmentId, GalleryVersion};
use attendance::{DIMENSIONS, Embedding, Gallery, StudentId};
use clap::Args;

const SEED: u64 = 20_240_229;
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
    /// The file: 128 little-endian f32 an embedding. Probes go beside it, as <FILE>.probes
    #[arg(long, value_name = "FILE")]
    into: PathBuf,
}

/// Writes both files, unless they are there.
pub(crate) fn write(options: &Options) -> Result<()> {
    let bytes = (options.count * DIMENSIONS * 4) as u64;
    if fs::metadata(&options.into).is_ok_and(|m| m.len() == bytes) {
        return Ok(());
    }
    let partial = options.into.with_extension("partial");
    let mut file =
        BufWriter::new(File::create(&partial).with_context(|| format!("cannot write {}", partial.display()))?);
    let mut probes = BufWriter::new(File::create(probes(&options.into))?);
    let mut random = fastrand::Rng::with_seed(SEED);
    let every = (options.count / PER_STUDENT / 10).max(1);
    for student in 0..options.count.div_ceil(PER_STUDENT) {
        let centre: [f32; DIMENSIONS] = std::array::from_fn(|_| around(&mut random, BETWEEN));
        let near = |random: &mut fastrand::Rng| centre.map(|v| (v + around(random, WITHIN)).to_le_bytes());
        for _ in 0..PER_STUDENT.min(options.count - student * PER_STUDENT) {
            file.write_all(near(&mut random).as_flattened())?;
        }
        if student % every == every / 2 {
            probes.write_all(near(&mut random).as_flattened())?;
        }
    }
    file.flush()?;
    probes.flush()?;
    Ok(fs::rename(partial, &options.into)?)
}

/// The gallery in a file, [`PER_STUDENT`] embeddings a student; the student's id is the number of their first one.
pub(crate) fn read(path: &Path) -> Result<Gallery> {
    let mut changes = Vec::new();
    for (student, embeddings) in embeddings(path)?.chunks(PER_STUDENT).enumerate() {
        changes.push(Change::Add {
            id: EnrollmentId(student as u128),
            student: StudentId::parse(&(student * PER_STUDENT).to_string())?,
            embeddings: embeddings.to_vec(),
        });
    }
    Ok(Gallery::default().with_changes(changes, GalleryVersion::default()))
}

/// The embeddings in a file.
pub(crate) fn embeddings(path: &Path) -> Result<Vec<Embedding>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(bytes.len().is_multiple_of(DIMENSIONS * 4), "{} holds no whole embeddings", path.display());
    Ok(bytes.chunks(DIMENSIONS * 4).map(Embedding::from_bytes).collect::<Result<_, _>>()?)
}

/// The file of the probes of a gallery.
pub(crate) fn probes(gallery: &Path) -> PathBuf {
    let mut name = gallery.as_os_str().to_owned();
    name.push(".probes");
    name.into()
}

fn around(random: &mut fastrand::Rng, half_width: f32) -> f32 {
    (random.f32() * 2.0 - 1.0) * half_width
}
