//! dlib's shape predictor.

use attendance_models::dlib::{FormatError, Reader};
use attendance_models::landmarks::{CASCADES, Cascade, LEAVES, Landmarks, PIXELS, POINTS, SPLITS, Shape, Split, TREES};

/// Returns the five-point shape predictor in dlib's file `shape_predictor_5_face_landmarks.dat`.
///
/// # Errors
/// [`FormatError`] if the bytes are not that predictor.
pub fn landmarks(file: &str, dat: &[u8]) -> Result<Landmarks, FormatError> {
    let mut reader = Reader::new(file, dat);
    reader.expect_int(1, "the shape predictor's version")?;
    let initial = shape(&mut reader)?;
    reader.expect_int(CASCADES as i64, "the number of cascades")?;
    let mut cascades = Vec::with_capacity(CASCADES);
    for _ in 0..CASCADES {
        reader.expect_int(TREES as i64, "the number of trees")?;
        let (mut splits, mut leaves) = (Vec::with_capacity(TREES * SPLITS), Vec::with_capacity(TREES * LEAVES));
        for _ in 0..TREES {
            reader.expect_int(SPLITS as i64, "the number of splits")?;
            for _ in 0..SPLITS {
                let (first, second) = (index(&mut reader, PIXELS)?, index(&mut reader, PIXELS)?);
                splits.push(Split { first, second, threshold: reader.finite()? });
            }
            reader.expect_int(LEAVES as i64, "the number of leaves")?;
            for _ in 0..LEAVES {
                leaves.push(shape(&mut reader)?);
            }
        }
        cascades.push(Cascade { anchors: Vec::new(), deltas: Vec::new(), splits, leaves });
    }
    reader.expect_int(CASCADES as i64, "the number of cascades' anchors")?;
    for cascade in &mut cascades {
        reader.expect_int(PIXELS as i64, "the number of anchors")?;
        let anchors = (0..PIXELS).map(|_| index(&mut reader, POINTS).map(|anchor| anchor as u8));
        cascade.anchors = anchors.collect::<Result<_, _>>()?;
    }
    reader.expect_int(CASCADES as i64, "the number of cascades' deltas")?;
    for cascade in &mut cascades {
        reader.expect_int(PIXELS as i64, "the number of deltas")?;
        cascade.deltas =
            (0..PIXELS).map(|_| Ok([reader.finite()?, reader.finite()?])).collect::<Result<_, FormatError>>()?;
    }
    reader.finish()?;
    Ok(Landmarks { initial, cascades })
}

fn shape(reader: &mut Reader<'_>) -> Result<Shape, FormatError> {
    let start = reader.clone();
    let elements = reader.matrix_f32(2 * POINTS, 1)?;
    Shape::try_from(elements).map_err(|_| start.error("a shape has not the right length"))
}

/// An index under `end`.
fn index(reader: &mut Reader<'_>, end: usize) -> Result<u16, FormatError> {
    let start = reader.clone();
    let index = reader.size()?;
    match u16::try_from(index) {
        Ok(small) if index < end => Ok(small),
        _ => Err(start.error(format!("the index {index} is not under {end}"))),
    }
}
