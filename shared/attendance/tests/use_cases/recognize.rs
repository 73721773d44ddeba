use attendance::ports::{GalleryStore, ScanError};
use attendance::{FrameSize, Label, RecognizeError};
use attendance_testkit::{FakeEvents, delivered, face, picture};

use crate::school::{School, student};

/// Labels and distances, rounded as clients see them.
async fn who(school: &School, faces: &[attendance_testkit::FakeFace]) -> Vec<(String, Option<f64>)> {
    let recognition = school.recognize(picture("frame", faces)).await.expect("recognised");
    recognition.sightings.iter().map(|s| (s.label.to_string(), s.distance.map(attendance::rounded))).collect()
}

#[tokio::test]
async fn nobody_is_enrolled() {
    let school = School::new();
    let recognition = school.recognize(picture("frame", &[face(1, 0.0)])).await.expect("recognised");
    assert_eq!(recognition.size, FrameSize { width: 640, height: 480 });
    assert_eq!(recognition.sightings[0].label, Label::Unknown);
    assert_eq!(recognition.sightings[0].distance, None, "there is nobody to be far from");
    assert!(school.recognize(picture("empty room", &[])).await.expect("recognised").sightings.is_empty());
}

#[tokio::test]
async fn a_face_at_exactly_the_tolerance_is_a_match() {
    let school = School::new();
    school.enroll("siswaA", picture("a", &[face(1, 0.0)])).await.expect("enrolled");
    let next_up = f32::from_bits(0.45_f32.to_bits() + 4);
    assert_eq!(who(&school, &[face(1, 0.45)]).await, [("siswaA".into(), Some(0.45))]);
    assert_eq!(who(&school, &[face(1, next_up)]).await, [("Unknown".into(), Some(0.45))]);
    assert_eq!(who(&school, &[face(1, 0.37004)]).await, [("siswaA".into(), Some(0.37))], "rounded to 4 decimals");
}

#[tokio::test]
async fn an_unknown_face_has_the_distance_to_the_nearest() {
    let school = School::new();
    school.enroll("siswaA", picture("a", &[face(1, 0.0)])).await.expect("enrolled");
    school.enroll("siswaB", picture("b", &[face(2, 0.0)])).await.expect("enrolled");
    assert_eq!(who(&school, &[face(2, 0.5)]).await, [("Unknown".into(), Some(0.5))]);
    assert_eq!(who(&school, &[face(3, 0.5)]).await, [("Unknown".into(), Some(1.5))]);
}

#[tokio::test]
async fn several_embeddings_of_one_student_are_one_candidate() {
    let school = School::new();
    for (name, photo, offset) in
        [("siswaA", "a1", 0.3), ("siswaA", "a2", 0.2), ("siswaA", "a3", 0.9), ("siswaB", "b", 0.15)]
    {
        school.enroll(name, picture(photo, &[face(1, offset)])).await.expect("enrolled");
    }
    // Three embeddings of A are within reach, and the nearest is B's.
    assert_eq!(who(&school, &[face(1, 0.1)]).await, [("siswaB".into(), Some(0.05))]);
    assert_eq!(who(&school, &[face(1, 0.22)]).await, [("siswaA".into(), Some(0.02))]);
    assert_eq!(who(&school, &[face(1, 0.88)]).await, [("siswaA".into(), Some(0.02))]);
}

#[tokio::test]
async fn faces_keep_the_order_of_their_detection() {
    let school = School::new();
    school.enroll("siswaA", picture("a", &[face(1, 0.0)])).await.expect("enrolled");
    let seen = who(&school, &[face(9, 0.0), face(1, 0.1), face(1, 0.0)]).await;
    assert_eq!(seen.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(), ["Unknown", "siswaA", "siswaA"]);
}

/// Promise 1: the very next recognition, in any process.
#[tokio::test]
async fn what_another_process_acknowledged_is_recognised_next() {
    let here = School::new();
    let there = School::over(here.gallery.clone(), FakeEvents::default(), |d| delivered(d.at));
    assert_eq!(who(&here, &[face(1, 0.0)]).await, [("Unknown".into(), None)]);
    for n in 1..=5 {
        let name = format!("siswa{n}");
        there.enroll(&name, picture("a", &[face(n, 0.0)])).await.expect("enrolled");
        assert_eq!(who(&here, &[face(n, 0.0)]).await, [(name, Some(0.0))]);
    }
    there.gallery.remove(&student("siswa3")).await.expect("removed");
    assert_eq!(who(&here, &[face(3, 0.5)]).await, [("Unknown".into(), Some(1.5))]);
    assert_eq!(who(&here, &[face(4, 0.0)]).await, [("siswa4".into(), Some(0.0))]);
}

#[tokio::test]
async fn an_unchanged_gallery_costs_one_read() {
    let school = School::new();
    school.enroll("siswaA", picture("a", &[face(1, 0.0)])).await.expect("enrolled");
    who(&school, &[face(1, 0.0)]).await;
    let before = school.gallery.reads();
    who(&school, &[face(1, 0.0), face(2, 0.0)]).await;
    assert_eq!(school.gallery.reads(), before + 1);
}

#[tokio::test]
async fn an_old_gallery_is_never_passed_off_as_the_current_one() {
    let school = School::new();
    school.enroll("siswaA", picture("a", &[face(1, 0.0)])).await.expect("enrolled");
    who(&school, &[face(1, 0.0)]).await;
    school.gallery.set_down(true);
    let error = school.recognize(picture("frame", &[face(1, 0.0)])).await.expect_err("the store is down");
    assert!(matches!(error, RecognizeError::Store(_)), "{error:?}");
    let error = school.recognize("garbage".into()).await.expect_err("no picture");
    assert!(matches!(error, RecognizeError::Scan(ScanError::Invalid { .. })), "{error:?}");
}
