//! The replaced service's stored embeddings: `<student_id>.npy`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use attendance::ports::{Enrolled, Enrollment, EnrollmentId, EnrollmentOrigin, GalleryStore};
use attendance::{Clock, Embedding, Environment, ModelId, PhotoDigest, StudentId, SystemClock};
use attendance_models::embedding_model;
use clap::Args;

use crate::adapters::Adapters;
use crate::places::Places;

/// The most embeddings in a file. A student has a handful.
const MAX_EMBEDDINGS: u64 = 1000;
/// The longest header.
const MAX_HEADER: u64 = 65536;

/// The arguments of `import`.
#[derive(Args)]
pub(crate) struct Options {
    /// Folder with <student_id>.npy, such as data/embeddings of the replaced service
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(options: &Options, places: &Places, environment: &Environment) -> Result<ExitCode> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(&options.folder)
        .with_context(|| format!("{} cannot be read", options.folder.display()))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")));
    files.sort();
    ensure!(!files.is_empty(), "{} holds no .npy file", options.folder.display());

    let gallery = Adapters::open(&places.data(environment))?.ports.gallery;
    let runtime = tokio::runtime::Runtime::new()?;
    let (mut imported, mut refused) = (0, 0);
    for path in &files {
        match runtime.block_on(import(&*gallery, path)) {
            Ok((student, Enrolled { saved, new })) => {
                imported += 1;
                println!("{student}: {saved} embeddings{}", if new { "" } else { ", known before" });
            }
            Err(error) => {
                refused += 1;
                println!("refused: {}: {error:#}", path.display());
            }
        }
    }
    println!("\n{imported} students imported, {refused} files refused");
    Ok(if imported == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn import(gallery: &dyn GalleryStore, path: &Path) -> Result<(StudentId, Enrolled)> {
    let stem = path.file_stem().and_then(|s| s.to_str()).context("the file's name is no text")?;
    let student = StudentId::parse(stem)?;
    let model = embedding_model();
    let max_bytes = MAX_EMBEDDINGS * model.dimensions() as u64 * 8 + MAX_HEADER;
    ensure!(std::fs::metadata(path)?.len() <= max_bytes, "the file is larger than a thousand embeddings");
    let bytes = std::fs::read(path)?;
    let faces = parse_npy(&bytes, &model)?.into_iter().map(|embedding| (embedding, None)).collect();
    let enrollment = Enrollment {
        id: EnrollmentId::generate(),
        student: student.clone(),
        digest: PhotoDigest::of(&bytes),
        origin: EnrollmentOrigin::Direct,
        photo: None,
        model,
        faces,
        at: SystemClock.now(),
    };
    Ok((student, gallery.enroll(enrollment).await?))
}

/// Returns the embeddings in a NumPy file (format 1 to 3): little-endian float64 or float32, C order, shape
/// (n, dimensions) or (dimensions,).
fn parse_npy(bytes: &[u8], model: &ModelId) -> Result<Vec<Embedding>> {
    let dimensions = model.dimensions();
    let (Some((b"\x93NUMPY", [major, _, rest @ ..])), 1..=3) =
        (bytes.split_first_chunk::<6>(), bytes.get(6).copied().unwrap_or_default())
    else {
        bail!("it is no NumPy file");
    };
    let (length, rest) = if *major == 1 {
        let (length, rest) = rest.split_first_chunk::<2>().context("the header is cut off")?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>().context("the header is cut off")?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(length).context("the header is cut off")?;
    let header: String = String::from_utf8_lossy(header).chars().filter(|c| !c.is_whitespace()).collect();
    ensure!(header.contains("'fortran_order':False"), "it must be in C order");
    let values: Vec<f32> = if header.contains("'descr':'<f8'") {
        let (words, rest) = data.as_chunks::<8>();
        ensure!(rest.is_empty(), "its data is cut off");
        words.iter().map(|word| f64::from_le_bytes(*word) as f32).collect()
    } else if header.contains("'descr':'<f4'") {
        let (words, rest) = data.as_chunks::<4>();
        ensure!(rest.is_empty(), "its data is cut off");
        words.iter().map(|word| f32::from_le_bytes(*word)).collect()
    } else {
        bail!("its numbers must be float64 or float32, little-endian");
    };
    let shape = header.split_once("'shape':(").and_then(|(_, rest)| rest.split_once(')')).map(|(shape, _)| shape);
    let sides: Vec<&str> = shape.unwrap_or_default().split(',').filter(|side| !side.is_empty()).collect();
    let is_row = |side: &str| side.parse() == Ok(dimensions);
    let rows = match sides[..] {
        [rows, side] if is_row(side) => rows.parse().with_context(|| format!("its shape must be (n, {dimensions})"))?,
        [side] if is_row(side) => 1,
        _ => bail!("its shape must be (n, {dimensions})"),
    };
    ensure!(rows > 0, "it holds no embedding");
    ensure!(dimensions.checked_mul(rows) == Some(values.len()), "its data does not fit its shape");
    values
        .chunks_exact(dimensions)
        .map(|row| model.embedding(row).context("it holds a number that is not finite"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Vec<Embedding>> {
        parse_npy(bytes, &embedding_model())
    }

    #[test]
    fn reads_float64_and_float32() {
        let doubles: Vec<u8> = (0..256).flat_map(|i| (f64::from(i) / 256.0).to_le_bytes()).collect();
        let rows = parse(&npy("<f8", "2, 128", &doubles)).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].values()[127], 255.0 / 256.0);
        let floats: Vec<u8> = (0..128).flat_map(|i| (i as f32).to_le_bytes()).collect();
        assert_eq!(parse(&npy("<f4", "128,", &floats)).unwrap()[0].values()[5], 5.0);
    }

    #[test]
    fn refuses_what_is_not_a_list_of_embeddings() {
        let zeros = vec![0; 1024];
        for bytes in [
            b"".to_vec(),
            b"hello".to_vec(),
            b"\x93NUMPY\x01\x00\xff".to_vec(),
            b"\x93NUMPY\x01\x00\xff\xff{}".to_vec(),
            npy("<f8", "1, 127", &zeros),
            npy("<f8", "2, 128", &zeros),
            npy("<f8", "0, 128", &[]),
            npy(">f8", "1, 128", &zeros),
            npy("<f8", "1, 128", &zeros[..1020]),
            npy("<f8", "1, 128", &f64::NAN.to_le_bytes().repeat(128)),
        ] {
            parse(&bytes).expect_err("refused");
        }
    }
}
