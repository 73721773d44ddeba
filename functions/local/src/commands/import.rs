//! The replaced service's stored embeddings: `<student_id>.npy`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use attendance::ports::{Enrolled, Enrollment, EnrollmentId, EnrollmentOrigin, GalleryStore};
use attendance::{Clock, Embedding, Environment, ModelId, PhotoDigest, StudentId, SystemClock};
use attendance_models::embedding_model;
use clap::Args;
use npyz::NpyFile;

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

/// Returns the embeddings in a NumPy file: float64 or float32 in either byte order, C or Fortran order, of shape
/// (n, dimensions) or (dimensions,).
fn parse_npy(bytes: &[u8], model: &ModelId) -> Result<Vec<Embedding>> {
    let dimensions = model.dimensions();
    let mut rest = bytes;
    let npy = NpyFile::new(&mut rest).context("it is no NumPy file")?;
    // Where the number of a row and column lies: a single embedding is its own row.
    let (rows, row_stride, column_stride) = match (npy.shape(), npy.strides()) {
        (&[rows, columns], &[across, along]) if columns == dimensions as u64 => (rows, across, along),
        (&[columns], &[along]) if columns == dimensions as u64 => (1, 0, along),
        _ => bail!("its shape must be (n, {dimensions})"),
    };
    ensure!(rows > 0, "it holds no embedding");
    // Before anything is reserved for what the header claims.
    ensure!(rows <= bytes.len() as u64, "its data is cut off");
    let values: Vec<f32> = match npy.try_data::<f64>() {
        Ok(doubles) => doubles.map(|value| Ok(value? as f32)).collect::<io::Result<_>>(),
        Err(npy) => npy.data::<f32>().context("its numbers must be float64 or float32")?.collect(),
    }
    .context("its data is cut off")?;
    ensure!(rest.is_empty(), "its data does not fit its shape");
    (0..rows as usize)
        .map(|row| {
            let place = |column| row * row_stride as usize + column * column_stride as usize;
            let numbers: Vec<f32> = (0..dimensions).map(|column| values[place(column)]).collect();
            model.embedding(&numbers).context("it holds a number that is not finite")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        file(descr, false, shape, data)
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
    fn either_byte_order_and_either_array_order_give_the_same_embeddings() {
        // Row r, column c: r + c / 128.
        let number = |row: usize, column: usize| row as f64 + column as f64 / 128.0;
        let c_order: Vec<f64> = (0..3).flat_map(|row| (0..128).map(move |column| number(row, column))).collect();
        let fortran: Vec<f64> = (0..128).flat_map(|column| (0..3).map(move |row| number(row, column))).collect();
        let expected: Vec<Vec<f32>> =
            (0..3).map(|row| (0..128).map(|column| number(row, column) as f32).collect()).collect();
        for (is_fortran, values) in [(false, c_order), (true, fortran)] {
            let bytes = |write: fn(f64) -> Vec<u8>| values.iter().copied().flat_map(write).collect::<Vec<u8>>();
            for (descr, data) in [
                ("<f8", bytes(|v| v.to_le_bytes().to_vec())),
                (">f8", bytes(|v| v.to_be_bytes().to_vec())),
                ("<f4", bytes(|v| (v as f32).to_le_bytes().to_vec())),
                (">f4", bytes(|v| (v as f32).to_be_bytes().to_vec())),
            ] {
                let found = parse(&file(descr, is_fortran, "3, 128", &data)).unwrap();
                let found: Vec<Vec<f32>> = found.iter().map(|embedding| embedding.values().to_vec()).collect();
                assert_eq!(found, expected, "{descr}, Fortran order {is_fortran}");
            }
        }
    }

    #[test]
    fn refuses_what_is_not_a_list_of_embeddings() {
        let zeros = vec![0; 1024];
        for bytes in [
            b"".to_vec(),
            b"hello".to_vec(),
            b"\x93NUMPY\x01\x00\xff".to_vec(),
            b"\x93NUMPY\x01\x00\xff\xff{}".to_vec(),
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}".to_vec(),
            npy("<f8", "1, 127", &zeros),
            npy("<f8", "2, 128", &zeros),
            npy("<f8", "0, 128", &[]),
            npy("<f8", "1000000000000, 128", &zeros),
            npy("<i8", "1, 128", &zeros),
            npy("<f8", "1, 128", &zeros[..1020]),
            npy("<f8", "1, 128", &[&zeros[..], b"more"].concat()),
            npy("<f8", "1, 128", &f64::NAN.to_le_bytes().repeat(128)),
        ] {
            parse(&bytes).expect_err("refused");
        }
    }
}
