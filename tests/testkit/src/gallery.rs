use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use attendance::ports::{
    Change, Enrolled, Enrollment, EnrollmentId, EnrollmentOrigin, GalleryCounts, GalleryStore, GalleryVersion, Inbox,
    InboxKey, InboxObject, ObjectRevision, StoreError,
};
use attendance::{ModelId, PhotoDigest, Refusal, StudentId};
use bytes::Bytes;

/// Who is enrolled, in memory. A clone is another handle onto the same storage.
#[derive(Debug, Clone, Default)]
pub struct FakeGallery(Arc<Mutex<State>>);

/// The inbox that shares a gallery's storage, in memory. A clone is another handle onto it.
#[derive(Debug, Clone)]
pub struct FakeInbox(FakeGallery);

#[derive(Debug, Default)]
struct State {
    // By the change that added them.
    enrollments: BTreeMap<u64, Stored>,
    removals: BTreeMap<u64, EnrollmentId>,
    objects: BTreeMap<InboxKey, Bytes>,
    reports: BTreeMap<InboxKey, Refusal>,
    seq: u64,
    down: bool,
    reads: usize,
}

/// An enrolment and who asks for it.
#[derive(Debug)]
struct Stored {
    enrollment: Enrollment,
    direct: bool,
    objects: BTreeSet<InboxKey>,
}

impl Stored {
    fn new(enrollment: Enrollment) -> Self {
        let origin = enrollment.origin.clone();
        let mut stored = Self { enrollment, direct: false, objects: BTreeSet::new() };
        stored.add(origin);
        stored
    }

    fn add(&mut self, origin: EnrollmentOrigin) {
        match origin {
            EnrollmentOrigin::Direct => self.direct = true,
            EnrollmentOrigin::Object(key) => drop(self.objects.insert(key)),
        }
    }

    fn enrolled(&self) -> Enrolled {
        Enrolled { saved: self.enrollment.faces.len(), new: false }
    }
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

    /// The inbox beside it.
    #[must_use]
    pub fn inbox(&self) -> FakeInbox {
        FakeInbox(self.clone())
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.0.lock().expect("no test panics here");
        if state.down { Err(StoreError::unavailable("the fake gallery is down")) } else { Ok(state) }
    }
}

impl State {
    fn find(&mut self, student: &StudentId, digest: &PhotoDigest) -> Option<&mut Stored> {
        let equal = |e: &Enrollment| e.student == *student && e.digest == *digest;
        self.enrollments.values_mut().find(|stored| equal(&stored.enrollment))
    }

    /// Erases the student's enrolments that `unwanted` picks, and returns how many embeddings they held.
    fn erase(&mut self, student: &StudentId, unwanted: impl Fn(&Stored) -> bool) -> usize {
        let of_student = |stored: &Stored| stored.enrollment.student == *student;
        let gone: Vec<u64> =
            self.enrollments.iter().filter(|(_, e)| of_student(e) && unwanted(e)).map(|(seq, _)| *seq).collect();
        let gone: Vec<Stored> = gone.iter().filter_map(|seq| self.enrollments.remove(seq)).collect();
        for Stored { enrollment, .. } in &gone {
            self.seq += 1;
            self.removals.insert(self.seq, enrollment.id);
        }
        gone.iter().map(|stored| stored.enrollment.faces.len()).sum()
    }

    fn students(&self) -> BTreeMap<StudentId, usize> {
        let mut students = BTreeMap::new();
        for Stored { enrollment, .. } in self.enrollments.values() {
            *students.entry(enrollment.student.clone()).or_default() += enrollment.faces.len();
        }
        students
    }
}

#[async_trait]
impl GalleryStore for FakeGallery {
    async fn find(
        &self,
        student: &StudentId,
        digest: &PhotoDigest,
        origin: &EnrollmentOrigin,
    ) -> Result<Option<Enrolled>, StoreError> {
        let mut state = self.state()?;
        let found = state.find(student, digest).filter(|found| found.direct || *origin != EnrollmentOrigin::Direct);
        Ok(found.map(|found| found.enrolled()))
    }

    async fn enroll(&self, enrollment: Enrollment) -> Result<Enrolled, StoreError> {
        let mut state = self.state()?;
        if let Some(equal) = state.find(&enrollment.student, &enrollment.digest) {
            equal.add(enrollment.origin);
            return Ok(equal.enrolled());
        }
        let saved = enrollment.faces.len();
        state.seq += 1;
        let seq = state.seq;
        state.enrollments.insert(seq, Stored::new(enrollment));
        Ok(Enrolled { saved, new: true })
    }

    async fn remove(&self, student: &StudentId) -> Result<usize, StoreError> {
        let mut state = self.state()?;
        let folder = InboxKey::of(student, "");
        state.objects.retain(|key, _| !key.as_str().starts_with(folder.as_str()));
        state.reports.retain(|key, _| !key.as_str().starts_with(folder.as_str()));
        Ok(state.erase(student, |_| true))
    }

    async fn changes(
        &self,
        since: &GalleryVersion,
        model: &ModelId,
    ) -> Result<(Vec<Change>, GalleryVersion), StoreError> {
        let mut state = self.state()?;
        state.reads += 1;
        let since = since.0.first().copied().unwrap_or_default();
        let added = state.enrollments.range(since + 1..).map(|(_, stored)| &stored.enrollment);
        let added = added.filter(|e| e.model == *model).map(|e| Change::Add {
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

impl FakeInbox {
    /// Puts an object under the key, as a person does.
    pub fn put(&self, key: &InboxKey, bytes: Bytes) {
        self.0.0.lock().expect("no test panics here").objects.insert(key.clone(), bytes);
    }

    /// Takes the object under the key away, as a person does.
    pub fn delete(&self, key: &InboxKey) {
        self.0.0.lock().expect("no test panics here").objects.remove(key);
    }

    /// The report that lies there for whoever put the object.
    #[must_use]
    pub fn reported(&self, key: &InboxKey) -> Option<Refusal> {
        self.0.0.lock().expect("no test panics here").reports.get(key).cloned()
    }
}

fn revision(bytes: &[u8]) -> ObjectRevision {
    ObjectRevision(PhotoDigest::of(bytes).to_string())
}

#[async_trait]
impl Inbox for FakeInbox {
    async fn read(&self, key: &InboxKey, limit: usize) -> Result<Option<InboxObject>, StoreError> {
        Ok(self.0.state()?.objects.get(key).map(|bytes| InboxObject {
            revision: revision(bytes),
            size: bytes.len() as u64,
            bytes: (bytes.len() <= limit).then(|| bytes.clone()),
        }))
    }

    async fn revision(&self, key: &InboxKey) -> Result<Option<ObjectRevision>, StoreError> {
        Ok(self.0.state()?.objects.get(key).map(|bytes| revision(bytes)))
    }

    async fn assign(
        &self,
        student: &StudentId,
        key: &InboxKey,
        picture: Option<PhotoDigest>,
    ) -> Result<bool, StoreError> {
        let mut state = self.0.state()?;
        if let Some(picture) = &picture {
            let Some(stored) = state.find(student, picture) else { return Ok(false) };
            stored.add(EnrollmentOrigin::Object(key.clone()));
        }
        for stored in state.enrollments.values_mut().filter(|stored| stored.enrollment.student == *student) {
            if Some(stored.enrollment.digest) != picture {
                stored.objects.remove(key);
            }
        }
        state.erase(student, |stored| !stored.direct && stored.objects.is_empty());
        Ok(true)
    }

    async fn report(&self, key: &InboxKey, refusal: Option<&Refusal>) -> Result<(), StoreError> {
        let mut state = self.0.state()?;
        match refusal {
            Some(refusal) => drop(state.reports.insert(key.clone(), refusal.clone())),
            None => drop(state.reports.remove(key)),
        }
        Ok(())
    }
}
