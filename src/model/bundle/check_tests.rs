use super::*;
use crate::detect::Hybrid;
use crate::model::bundle::{Bundle, File, KeyId, Origin, SigningKey};
use crate::wire::model::{encode_forest, encode_golden, encode_parameters, encode_signed};

const NOW_MS: i64 = 1_000;

fn key() -> SigningKey {
    SigningKey::from_pem(&SigningKey::generate_pem().unwrap()).unwrap()
}

/// A bundle of the built-in model, promoted by `key` as version 3, and changed before that.
fn promoted(key: &SigningKey, change: impl FnOnce(&mut Manifest)) -> Bundle {
    let origin = Origin { model: "m".to_owned(), ..Origin::default() };
    let Bundle { mut manifest, blobs, .. } = Bundle::candidate(&Hybrid::default(), origin);
    manifest.version = 3;
    change(&mut manifest);
    Bundle::of(manifest, blobs, Some(key))
}

fn check_with(
    bundle: &Bundle,
    trust: &Trust,
    change: impl FnOnce(&mut Measure<'_>),
) -> Result<Model, Refusal> {
    let mut measure =
        Measure { model: "m", trust, newest: 3, now_ms: NOW_MS, max_bytes: 1 << 20, served: false };
    change(&mut measure);
    bundle.check(&measure)
}

/// Why `bundle`, which `key` has signed, is refused.
fn reason(bundle: &Bundle, key: &SigningKey) -> &'static str {
    check_with(bundle, &Trust::new([key.public()], []), |_| {}).expect_err("it is refused").reason()
}

/// The bundle with another blob in place of that of `kind`, all of it signed.
fn with_blob(key: &SigningKey, kind: Kind, bytes: Vec<u8>) -> Bundle {
    let mut bundle = promoted(key, |_| {});
    let digest = Digest::of(&bytes);
    bundle.manifest.files.retain(|file| file.kind != kind);
    bundle.manifest.files.push(File { kind, sha256: digest, size: bytes.len() as u64 });
    bundle.blobs.insert(digest, bytes);
    Bundle::of(bundle.manifest, bundle.blobs, Some(key))
}

#[test]
fn what_was_written_is_read_again_bit_for_bit() {
    let key = key();
    let trust = Trust::new([key.public()], []);
    let model = check_with(&promoted(&key, |_| {}), &trust, |_| {}).unwrap();
    assert_eq!((model.number, model.version.as_str(), model.source), (3, "3", Source::Store));
    let Detector::Hybrid(hybrid) = &model.detector else { panic!("a hybrid") };
    assert_eq!(**hybrid, Hybrid::default());
}

#[test]
fn c3_only_what_a_trusted_key_has_signed_serves() {
    let (ours, theirs) = (key(), key());
    let bundle = promoted(&theirs, |_| {});
    let refused =
        |trust: Trust| check_with(&bundle, &trust, |_| {}).map(|model| model.number).unwrap_err().reason();
    assert_eq!(refused(Trust::new([ours.public()], [])), "unknown_key");
    assert_eq!(refused(Trust::new([theirs.public()], [theirs.public().id()])), "revoked_key");
    assert!(check_with(&bundle, &Trust::new([ours.public(), theirs.public()], []), |_| {}).is_ok());
    let candidate = Bundle::of(bundle.manifest.clone(), bundle.blobs.clone(), None);
    assert_eq!(reason(&candidate, &theirs), "unsigned");
}

#[test]
fn c3_a_manifest_that_was_changed_is_refused_at_every_bit() {
    let key = key();
    let bundle = promoted(&key, |_| {});
    let trust = Trust::new([key.public()], []);
    for bit in (0..bundle.signed.len() * 8).step_by(5) {
        let mut changed = bundle.clone();
        changed.signed[bit / 8] ^= 1 << (bit % 8);
        assert!(check_with(&changed, &trust, |_| {}).is_err(), "bit {bit}");
    }
}

#[test]
fn c3_a_blob_that_was_changed_is_refused() {
    let key = key();
    let kinds = Kind::ALL.into_iter().filter(|kind| promoted(&key, |_| {}).manifest.file(*kind).is_some());
    for kind in kinds {
        let mut bundle = promoted(&key, |_| {});
        let digest = bundle.manifest.file(kind).unwrap().sha256;
        bundle.blobs.get_mut(&digest).unwrap()[0] ^= 1;
        assert_eq!(reason(&bundle, &key), "hash", "{kind:?}");
        bundle.blobs.remove(&digest);
        assert_eq!(reason(&bundle, &key), "missing", "{kind:?}");
    }
}

#[test]
fn c3_an_older_version_is_refused_and_one_that_served_is_not() {
    let key = key();
    let trust = Trust::new([key.public()], []);
    let bundle = promoted(&key, |manifest| manifest.version = 2);
    assert_eq!(reason(&bundle, &key), "older");
    assert!(check_with(&bundle, &trust, |measure| measure.served = true).is_ok());
}

#[test]
fn c3_an_expired_model_is_not_taken_up_and_one_that_serves_goes_on() {
    let key = key();
    let trust = Trust::new([key.public()], []);
    let bundle = promoted(&key, |manifest| manifest.expires_ms = NOW_MS);
    assert_eq!(reason(&bundle, &key), "expired");
    assert!(check_with(&bundle, &trust, |measure| measure.served = true).is_ok());
    assert!(check_with(&bundle, &trust, |measure| measure.now_ms = NOW_MS - 1).is_ok());
}

#[test]
fn c1_what_is_for_others_is_refused() {
    let key = key();
    assert_eq!(reason(&promoted(&key, |manifest| manifest.model = "n".to_owned()), &key), "other_model");
    assert_eq!(reason(&promoted(&key, |manifest| manifest.schema = "0".to_owned()), &key), "schema");
    assert_eq!(reason(&promoted(&key, |manifest| manifest.format = 2), &key), "manifest");
    assert_eq!(
        reason(&promoted(&key, |manifest| manifest.runtime[0] = "99.0.0".to_owned()), &key),
        "runtime"
    );
    assert_eq!(reason(&promoted(&key, |manifest| manifest.runtime[1] = "0.0.9".to_owned()), &key), "runtime");
}

#[test]
fn f26_numbers_that_are_none_are_refused() {
    let key = key();
    for state_unit in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
        let parameters = encode_parameters(&Hybrid { state_unit, ..Hybrid::default() });
        assert_eq!(reason(&with_blob(&key, Kind::Parameters, parameters), &key), "blob", "{state_unit}");
    }
    let forest = |change: fn(&mut crate::detect::forest::Tree)| {
        let mut trees = Hybrid::default().forest.trees().to_vec();
        change(&mut trees[0]);
        encode_forest(&crate::detect::forest::Forest::new(trees))
    };
    let wrong = [
        forest(|tree| tree.splits[0] = f32::NAN),
        forest(|tree| tree.lengths[0] = f32::INFINITY),
        forest(|tree| tree.lengths[0] = -1.0),
        forest(|tree| tree.inputs[0] = 4),
    ];
    for bytes in wrong {
        assert_eq!(reason(&with_blob(&key, Kind::Forest, bytes), &key), "blob");
    }
}

#[test]
fn f26_a_model_of_many_times_the_size_is_refused_before_it_is_made() {
    let key = key();
    let trees = vec![Hybrid::default().forest.trees()[0].clone(); crate::wire::model::MAX_TREES + 1];
    let forest = encode_forest(&crate::detect::forest::Forest::new(trees));
    assert_eq!(reason(&with_blob(&key, Kind::Forest, forest), &key), "blob");
    let trust = Trust::new([key.public()], []);
    let refused = check_with(&promoted(&key, |_| {}), &trust, |measure| measure.max_bytes = 100);
    assert_eq!(refused.unwrap_err().reason(), "size");
    let huge = Signed { manifest: vec![0; MAX_MANIFEST_BYTES], key_id: String::new(), signature: vec![1] };
    let bundle = Bundle { signed: encode_signed(&huge), ..promoted(&key, |_| {}) };
    assert_eq!(reason(&bundle, &key), "manifest");
}

#[test]
fn f26_a_model_that_scores_otherwise_than_where_it_was_made_is_refused() {
    let key = key();
    let mut golden = Golden::of(&Model::builtin().detector);
    golden.cases[1].scores[580] *= 1.0 + 1e-5;
    let refused = reason(&with_blob(&key, Kind::Golden, encode_golden(&golden)), &key);
    assert_eq!(refused, "golden");
    let mut golden = Golden::of(&Model::builtin().detector);
    golden.joint[590].1 += 1e-5;
    assert_eq!(reason(&with_blob(&key, Kind::Golden, encode_golden(&golden)), &key), "golden");
}

#[test]
fn f26_a_model_of_many_times_the_time_is_refused() {
    let micros = Duration::from_micros;
    assert!(compare_speed(micros(19), micros(0)).is_ok(), "quick enough, whatever the other takes");
    assert!(compare_speed(micros(200), micros(10)).is_ok());
    assert_eq!(compare_speed(micros(201), micros(10)).unwrap_err().reason(), "slow");
}

#[test]
fn golden_vectors_hold_anomalies_and_ordinary_samples() {
    let golden = Golden::of(&Model::builtin().detector);
    for case in &golden.cases {
        assert!(case.scores.iter().any(|score| *score >= 1.0));
        assert!(case.scores.iter().filter(|score| **score < 1.0).count() > case.scores.len() / 2);
    }
    assert!(golden.joint.iter().any(|(_, score)| *score >= 1.0));
    assert_eq!(golden.replay(&Model::builtin().detector), Ok(()));
}

#[test]
fn versions_of_sidelong_are_compared_as_numbers() {
    assert!(is_within("0.10.0", "0.9.1", ""));
    assert!(is_within("0.10.0", "0.10.0", "0.10.0"));
    assert!(!is_within("0.10.0", "0.11", ""));
    assert!(!is_within("1.0.0", "", "0.99.9"));
}

#[test]
fn keys_are_told_apart_by_their_names() {
    let id: KeyId = key().public().id();
    assert_eq!(id.to_string().len(), 16);
}
