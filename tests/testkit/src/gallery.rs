use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use attendance::ports::{
    Change, Enrolled, Enrollment, EnrollmentId, GalleryCounts, GalleryStore, GalleryVersion, StoreError,
};
use attendance::{ModelId, PhotoDigest, StudentId};

/// Who is enrolled, in memory. A clone is another handle onto the same storage.
#[derive(Debug, Clone, Default)]
pub struct FakeGallery(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    // By the change that added them.
    enrollments: BTreeMap<u64, Enrollment>,
    removals: BTreeMap<u64, EnrollmentId>,
    seq: u64,
    down: bool,
    reads: usize,
}

impl FakeGallery {
    /// Makes the store answer, or not.
    pub fn set_down(&self, down: bool) {
        self.0.lock().expect("no test panics here").down = down;
    }

    /// How often the changes were asked for.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.0.lock().expect("no test panics here").reads
    }

    fn state(&self) -> Result<std::sync::MutexGuard<'_, State>, StoreError> {
        let state = self.0.lock().expect("no test panics here");
        if state.down { Err(StoreError::unavailable("the fake gallery is down")) } else { Ok(state) }
    }
}

impl State {
    fn find(&self, student: &StudentId, digest: &PhotoDigest) -> Option<Enrolled> {
        let found = self.enrollments.values().find(|e| e.student == *student && e.digest == *digest)?;
        Some(Enrolled { saved: found.faces.len(), new: false })
    }

    fn students(&self) -> BTreeMap<StudentId, usize> {
        let mut students = BTreeMap::new();
        for enrollment in self.enrollments.values() {
            *students.entry(enrollment.student.clone()).or_default() += enrollment.faces.len();
        }
        students
    }
}

#[async_trait]
impl GalleryStore for FakeGallery {
    async fn find(&self, student: &StudentId, digest: &PhotoDigest) -> Result<Option<Enrolled>, StoreError> {
        Ok(self.state()?.find(student, digest))
    }

    async fn enroll(&self, enrollment: Enrollment) -> Result<Enrolled, StoreError> {
        let mut state = self.state()?;
        if let Some(equal) = state.find(&enrollment.student, &enrollment.digest) {
            return Ok(equal);
        }
        let saved = enrollment.faces.len();
        state.seq += 1;
        let seq = state.seq;
        state.enrollments.insert(seq, enrollment);
        Ok(Enrolled { saved, new: true })
    }

    async fn remove(&self, student: &StudentId) -> Result<usize, StoreError> {
        let mut state = self.state()?;
        let gone: Vec<u64> = state.enrollments.iter().filter(|(_, e)| e.student == *student).map(|(s, _)| *s).collect();
        let mut removed = 0;
        for seq in gone {
            if let Some(enrollment) = state.enrollments.remove(&seq) {
                removed += enrollment.faces.len();
                state.seq += 1;
                let seq = state.seq;
                state.removals.insert(seq, enrollment.id);
            }
        }
        Ok(removed)
    }

    async fn changes(
        &self,
        since: &GalleryVersion,
        model: &ModelId,
    ) -> Result<(Vec<Change>, GalleryVersion), StoreError> {
        let mut state = self.state()?;
        state.reads += 1;
        let since = since.0.first().copied().unwrap_or_default();
        let added = state.enrollments.range(since + 1..).filter(|(_, e)| e.model == *model).map(|(_, e)| Change::Add {
            id: e.id,
            student: e.student.clone(),
            embeddings: e.faces.iter().map(|(embedding, _)| embedding.clone()).collect(),
        });
        let removed = state.removals.range(since + 1..).map(|(_, id)| Change::Remove { id: *id });
        Ok((added.chain(removed).collect(), GalleryVersion(vec![state.seq])))
    }

    async fn counts(&self) -> Result<GalleryCounts, StoreError> {
        let students = self.state()?.students();
        Ok(GalleryCounts { encodings: students.values().sum(), labels: students.len() })
    }

    async fn students(&self) -> Result<Vec<(StudentId, usize)>, StoreError> {
        Ok(self.state()?.students().into_iter().collect())
    }
}
