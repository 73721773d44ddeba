use attendance::ports::{Change, EnrollmentOrigin, GalleryCounts, GalleryStore, GalleryVersion, ScanError};
use attendance::{EnrollError, MultiFace, Receipt};
use attendance_testkit::{FakeFace, face, picture};
use serde_json::json;

use crate::school::{START, School, student};

async fn counts(school: &School) -> (usize, usize) {
    let GalleryCounts { encodings, labels } = school.gallery.counts().await.expect("counts");
    (encodings, labels)
}

#[tokio::test]
async fn a_photograph_of_one_person_is_stored_and_told() {
    let school = School::new();
    let receipt = school.enroll("siswaA", picture("a", &[face(1, 0.0)])).await.expect("enrolled");
    assert_eq!(receipt, Receipt { student: student("siswaA"), saved: 1, new: true });
    assert_eq!(counts(&school).await, (1, 1));
    let told = json!({"type": "student.enrolled", "student_id": "siswaA", "saved": 1, "ts": START / 1000, "seq": 1});
    assert_eq!(school.push.messages(), [told]);
}

#[tokio::test]
async fn a_repeat_answers_as_the_first_did() {
    let school = School::new();
    let photo = picture("a", &[face(1, 0.0), face(2, 0.0)]);
    let all = school.enroller(MultiFace::All);
    let first = all.enroll(&student("siswaA"), photo.clone(), EnrollmentOrigin::Direct).await.expect("enrolled");
    assert_eq!((first.saved, first.new), (2, true));
    // Also where the rule was changed since.
    for multi_face in [MultiFace::All, MultiFace::Reject, MultiFace::Largest] {
        let repeat = school
            .enroller(multi_face)
            .enroll(&student("siswaA"), photo.clone(), EnrollmentOrigin::Direct)
            .await
            .expect("a repeat");
        assert_eq!(repeat, Receipt { new: false, ..first.clone() });
    }
    assert_eq!(counts(&school).await, (2, 1));
    assert_eq!(school.engine.scans(), 1, "a known picture costs no scan");
    assert_eq!(school.push.messages().len(), 1, "a repeat is no news");
}

#[tokio::test]
async fn nobody_in_the_picture_is_said_with_the_size_looked_for() {
    let school = School::new();
    let error = school.enroll("siswaA", picture("empty room", &[])).await.expect_err("no face");
    assert!(matches!(error, EnrollError::NoFace { min_size: 80 }), "{error:?}");
    assert!(error.to_string().contains("80 pixels"));
    assert_eq!(counts(&school).await, (0, 0));
    assert!(school.push.messages().is_empty());
}

#[tokio::test]
async fn several_faces_are_refused_cut_to_the_largest_or_all_stored() {
    let small = FakeFace { side: 90, ..face(1, 0.0) };
    let large = FakeFace { side: 200, ..face(2, 0.0) };
    let photo = picture("two", &[small, large]);
    for (multi_face, stored) in [
        (MultiFace::Reject, None),
        (MultiFace::Largest, Some(vec![large.embedding()])),
        (MultiFace::All, Some(vec![small.embedding(), large.embedding()])),
    ] {
        let school = School::new();
        let result =
            school.enroller(multi_face).enroll(&student("siswaA"), photo.clone(), EnrollmentOrigin::Direct).await;
        let model = attendance::ports::FaceEngine::model(&*school.engine).clone();
        let (mut changes, _) = school.gallery.changes(&GalleryVersion::default(), &model).await.expect("changes");
        let Some(stored) = stored else {
            assert!(matches!(result, Err(EnrollError::MultipleFaces { count: 2 })), "{result:?}");
            assert!(changes.is_empty(), "{multi_face:?}");
            continue;
        };
        assert_eq!(result.expect("enrolled").saved, stored.len());
        let Some(Change::Add { embeddings, .. }) = changes.pop() else { panic!("one enrolment: {changes:?}") };
        assert_eq!(embeddings, stored, "{multi_face:?}");
    }
}

#[tokio::test]
async fn a_picture_that_cannot_be_scanned_leaves_nothing() {
    let school = School::new();
    let error = school.enroll("siswaA", "garbage".into()).await.expect_err("no picture");
    assert!(matches!(error, EnrollError::Scan(ScanError::Invalid { .. })), "{error:?}");
    let error = school.enroll("siswaA", "busy".into()).await.expect_err("overloaded");
    assert!(matches!(error, EnrollError::Scan(ScanError::Overloaded)), "{error:?}");
    assert_eq!(counts(&school).await, (0, 0));
}

#[tokio::test]
async fn a_store_that_is_down_is_an_error_and_a_push_that_is_down_is_not() {
    let school = School::new();
    let photo = picture("a", &[face(1, 0.0)]);
    school.gallery.set_down(true);
    let error = school.enroll("siswaA", photo.clone()).await.expect_err("the store is down");
    assert!(matches!(error, EnrollError::Store(_)), "{error:?}");
    school.gallery.set_down(false);
    school.push.set_down(true);
    assert!(school.enroll("siswaA", photo).await.expect("enrolled all the same").new);
    assert_eq!(counts(&school).await, (1, 1));
}
