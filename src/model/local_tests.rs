use super::*;
use crate::detect::Hybrid;
use crate::model::bundle::{Origin, SigningKey, Trust};

struct Here {
    folder: tempfile::TempDir,
    key: SigningKey,
    trust: Trust,
}

impl Here {
    fn new() -> Self {
        let key = SigningKey::from_pem(&SigningKey::generate_pem().unwrap()).unwrap();
        let trust = Trust::new([key.public()], []);
        Self { folder: tempfile::tempdir().unwrap(), key, trust }
    }

    fn open(&self) -> Local {
        Local::open(self.folder.path()).unwrap()
    }

    fn bundle(&self, version: u64) -> Bundle {
        let origin = Origin { model: "m".to_owned(), ..Origin::default() };
        let Bundle { mut manifest, blobs, .. } = Bundle::candidate(&Hybrid::default(), origin);
        manifest.version = version;
        Bundle::of(manifest, blobs, Some(&self.key))
    }

    fn keep(&self, versions: &[u64]) {
        let mut local = self.open();
        versions.iter().for_each(|version| local.keep(&self.bundle(*version)).unwrap());
    }

    /// The version that serves after a start, and those that were refused before it.
    fn boot(&self) -> (Option<u64>, Vec<u64>) {
        let local = self.open();
        let (trust, mut refused) = (&self.trust, Vec::new());
        let measure = Measure {
            model: "m",
            trust,
            newest: local.state().newest,
            now_ms: 0,
            max_bytes: 1 << 20,
            served: true,
        };
        let best = local.best(&measure, |version, _| refused.push(version));
        (best.map(|model| model.number), refused)
    }

    /// Flips a bit in every file of a version.
    fn damage(&self, version: u64) {
        for entry in fs::read_dir(self.folder.path().join(format!("v{version}"))).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn c10_a_start_takes_the_pinned_model_else_the_last_good_one_else_the_one_before() {
    let here = Here::new();
    assert_eq!(here.boot(), (None, vec![]));
    here.keep(&[1, 2, 3]);
    assert_eq!(here.boot(), (Some(3), vec![]));
    assert_eq!(here.open().versions().unwrap(), [2, 3]);
    here.open().pin(Some(2)).unwrap();
    assert_eq!(here.boot(), (Some(2), vec![]));
    here.keep(&[4, 5]);
    assert_eq!(here.open().versions().unwrap(), [2, 4, 5], "the pinned one stays");
    here.open().pin(None).unwrap();
    assert_eq!(here.boot(), (Some(5), vec![]));
    let absent = here.open().pin(Some(9)).unwrap_err();
    assert!(matches!(absent, LocalError::Absent(_, 9)), "{absent}");
}

#[test]
fn f27_a_damaged_model_is_passed_over_for_the_one_before() {
    let here = Here::new();
    here.keep(&[1, 2]);
    here.damage(2);
    assert_eq!(here.boot(), (Some(1), vec![2]));
    here.damage(1);
    assert_eq!(here.boot(), (None, vec![2, 1]));
}

#[test]
fn f27_a_damaged_state_is_made_anew_of_what_is_there() {
    let here = Here::new();
    here.keep(&[1, 2]);
    let path = here.folder.path().join(STATE);
    let whole = fs::read(&path).unwrap();
    let mut all: Vec<Vec<u8>> = ["", "{", "null", "[]", "{}"].map(|text| text.as_bytes().to_vec()).into();
    all.extend((0..whole.len()).map(|end| whole[..end].to_vec()));
    all.extend((0..whole.len() * 8).map(|bit| {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        damaged
    }));
    for damaged in all {
        fs::write(&path, &damaged).unwrap();
        let told = String::from_utf8_lossy(&damaged);
        let found = here.open();
        assert_eq!((found.state().serving, found.state().newest), (Some(2), 2), "{told:?}");
    }
    assert_eq!(here.boot().0, Some(2));
}

#[test]
fn a_version_that_is_pinned_while_a_sidecar_runs_stays_pinned_and_on_disk() {
    let here = Here::new();
    here.keep(&[1, 2]);
    let mut running = here.open();
    here.open().pin(Some(1)).unwrap();
    running.keep(&here.bundle(3)).unwrap();
    running.keep(&here.bundle(4)).unwrap();
    assert_eq!(here.open().pinned().unwrap(), Some(1));
    assert_eq!(here.open().versions().unwrap(), [1, 3, 4]);
    assert_eq!(here.boot(), (Some(1), vec![]));
}

#[test]
fn f19_a_model_that_was_not_written_whole_is_none() {
    let here = Here::new();
    here.keep(&[1]);
    let files: Vec<_> = {
        here.bundle(2).write(&here.folder.path().join("v2")).unwrap();
        fs::read_dir(here.folder.path().join("v2")).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    // A crash between any two files leaves a folder without some of them.
    for missing in files {
        let bytes = fs::read(&missing).unwrap();
        fs::remove_file(&missing).unwrap();
        fs::remove_file(here.folder.path().join(STATE)).ok();
        assert_eq!(here.boot(), (Some(1), vec![2]), "{}", missing.display());
        fs::write(&missing, bytes).unwrap();
    }
}

#[test]
fn what_is_trusted_no_more_does_not_serve_from_disk_either() {
    let mut here = Here::new();
    here.keep(&[1]);
    here.trust = Trust::new([here.key.public()], [here.key.public().id()]);
    assert_eq!(here.boot(), (None, vec![1]));
}
