//! Bundles of models as bytes: `proto/sidelong/model/v1/model.proto`.
//!
//! Whoever reads has bounded the number of bytes before. Numbers lie in flat arrays, so that what is read takes no more memory
//! than a few times its bytes; every count is checked against the others before it is used.

use prost::Message as _;

use super::generated::sidelong::model::v1 as proto;
use crate::detect::forest::{Forest, INPUTS, LEAVES, NODES, Tree};
use crate::detect::{Hybrid, Prior, Priors, Together, forest};
use crate::model::bundle::{Calibration, Case, Digest, File, Golden, Kind, Manifest, Parent, Signed};

/// Trees of a forest at the most: a sample is to be scored in about a hundred nanoseconds.
pub const MAX_TREES: usize = 400;
/// Samples of golden vectors at the most, and of one case.
const MAX_GOLDEN: usize = 100_000;
/// Groups of priors at the most, and bytes of the name of one.
const MAX_GROUPS: usize = 4_096;
const MAX_NAME: usize = 1_024;
const MAX_PRIORS_BYTES: usize = 1 << 20;
/// No weight of a stationary model with two differences is larger.
const LARGEST_WEIGHT: f64 = 16.0;
/// Most terms of either kind, and most differences.
const MAX_TERMS: u32 = 5;
const MAX_DIFFERENCES: u32 = 2;
/// No constant and no length of a path is larger.
const LARGEST: f64 = 1e6;

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They are no message of this kind.
    #[error("the bytes cannot be read")]
    Message(#[from] prost::DecodeError),
    /// Something that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Numbers of things do not agree.
    #[error("{0} has not as many numbers as it should")]
    Count(&'static str),
    /// There is more than is allowed.
    #[error("{0} has more than is allowed")]
    TooMany(&'static str),
    /// A number is none, or out of its range.
    #[error("{0} is no number that can be used")]
    Number(&'static str),
}

/// A signed manifest as bytes.
pub fn encode_signed(signed: &Signed) -> Vec<u8> {
    let Signed { manifest, key_id, signature } = signed.clone();
    proto::SignedManifest { manifest, key_id, signature }.encode_to_vec()
}

/// Reads a signed manifest. Whether the signature is worth anything is not looked at.
///
/// # Errors
///
/// [`Malformed`].
pub fn decode_signed(bytes: &[u8]) -> Result<Signed, Malformed> {
    let proto::SignedManifest { manifest, key_id, signature } = proto::SignedManifest::decode(bytes)?;
    Ok(Signed { manifest, key_id, signature })
}

/// A manifest as bytes: equal manifests give equal bytes.
pub fn encode_manifest(manifest: &Manifest) -> Vec<u8> {
    let Manifest { format, model, version, schema, runtime: [runtime_min, runtime_max], .. } =
        manifest.clone();
    let parent = |parent: Parent| proto::Parent { version: parent.version, sha256: parent.sha256.0.to_vec() };
    let file = |file: &File| proto::File {
        kind: kind_number(file.kind).into(),
        sha256: file.sha256.0.to_vec(),
        size: file.size,
    };
    let Calibration { threshold, alerts_a_week } = manifest.calibration;
    proto::Manifest {
        format,
        model,
        version,
        schema,
        runtime_min,
        runtime_max,
        created_ms: manifest.created_ms,
        expires_ms: manifest.expires_ms,
        parent: manifest.parent.map(parent),
        window: manifest.window_ms.map(|[from_ms, to_ms]| proto::Window { from_ms, to_ms }),
        files: manifest.files.iter().map(file).collect(),
        calibration: Some(proto::Calibration { threshold, alerts_a_week }),
        lineage: manifest.lineage.clone(),
    }
    .encode_to_vec()
}

/// Reads a manifest.
///
/// # Errors
///
/// [`Malformed`].
pub fn decode_manifest(bytes: &[u8]) -> Result<Manifest, Malformed> {
    let proto = proto::Manifest::decode(bytes)?;
    let files = proto.files.iter().map(|file| {
        Ok(File { kind: kind(file.kind())?, sha256: digest(&file.sha256, "a file")?, size: file.size })
    });
    let parent = |parent: &proto::Parent| {
        Ok::<_, Malformed>(Parent { version: parent.version, sha256: digest(&parent.sha256, "the parent")? })
    };
    let calibration = proto.calibration.ok_or(Malformed::Missing("the calibration"))?;
    let proto::Calibration { threshold, alerts_a_week } = calibration;
    usable([threshold, alerts_a_week], "the calibration")?;
    let files = files.collect::<Result<Vec<File>, Malformed>>()?;
    // Two blobs of a kind would make another model of each order.
    let kinds: std::collections::BTreeSet<Kind> = files.iter().map(|file| file.kind).collect();
    if kinds.len() != files.len() {
        return Err(Malformed::TooMany("a kind of file"));
    }
    Ok(Manifest {
        format: proto.format,
        files,
        parent: proto.parent.as_ref().map(parent).transpose()?,
        window_ms: proto.window.map(|window| [window.from_ms, window.to_ms]),
        calibration: Calibration { threshold, alerts_a_week },
        model: proto.model,
        version: proto.version,
        schema: proto.schema,
        runtime: [proto.runtime_min, proto.runtime_max],
        created_ms: proto.created_ms,
        expires_ms: proto.expires_ms,
        lineage: proto.lineage,
    })
}

fn kind_number(kind: Kind) -> proto::Kind {
    match kind {
        Kind::Parameters => proto::Kind::Parameters,
        Kind::Forest => proto::Kind::Forest,
        Kind::JointForest => proto::Kind::JointForest,
        Kind::Golden => proto::Kind::Golden,
        Kind::Priors => proto::Kind::Priors,
    }
}

fn kind(number: proto::Kind) -> Result<Kind, Malformed> {
    match number {
        proto::Kind::Parameters => Ok(Kind::Parameters),
        proto::Kind::Forest => Ok(Kind::Forest),
        proto::Kind::JointForest => Ok(Kind::JointForest),
        proto::Kind::Golden => Ok(Kind::Golden),
        proto::Kind::Priors => Ok(Kind::Priors),
        proto::Kind::Unspecified => Err(Malformed::Missing("the kind of a file")),
    }
}

fn digest(bytes: &[u8], of: &'static str) -> Result<Digest, Malformed> {
    bytes.try_into().map(Digest).map_err(|_| Malformed::Count(of))
}

/// The constants of `hybrid` as bytes.
pub fn encode_parameters(hybrid: &Hybrid) -> Vec<u8> {
    proto::Parameters {
        state_unit: hybrid.state_unit,
        unit_a_decade: hybrid.unit_a_decade,
        state_a_decade: hybrid.state_a_decade,
        onset_from: hybrid.onset_from,
        onset_unit: hybrid.onset_unit,
        onset_a_decade: hybrid.onset_a_decade,
        seasonless: hybrid.seasonless,
        z_threshold: hybrid.z_threshold,
    }
    .encode_to_vec()
}

/// Reads the constants of a hybrid; its forests are empty.
///
/// # Errors
///
/// [`Malformed`].
pub fn decode_parameters(bytes: &[u8]) -> Result<Hybrid, Malformed> {
    let proto = proto::Parameters::decode(bytes)?;
    let positive = [proto.state_unit, proto.onset_unit, proto.z_threshold];
    let others = [proto.unit_a_decade, proto.state_a_decade, proto.onset_from, proto.onset_a_decade];
    usable(positive, "a parameter")?;
    usable(others, "a parameter")?;
    usable([proto.seasonless], "a parameter")?;
    if positive.iter().any(|number| *number <= 0.0) || proto.seasonless > 1.0 {
        return Err(Malformed::Number("a parameter"));
    }
    Ok(Hybrid {
        state_unit: proto.state_unit,
        unit_a_decade: proto.unit_a_decade,
        state_a_decade: proto.state_a_decade,
        onset_from: proto.onset_from,
        onset_unit: proto.onset_unit,
        onset_a_decade: proto.onset_a_decade,
        seasonless: proto.seasonless,
        z_threshold: proto.z_threshold,
        forest: Forest::default(),
        joint_forest: Forest::default(),
        ..Hybrid::default()
    })
}

/// A forest as bytes.
pub fn encode_forest(forest: &Forest) -> Vec<u8> {
    let trees = forest.trees();
    proto::Forest {
        depth: forest::DEPTH as u32,
        trees: trees.len() as u32,
        inputs: trees.iter().flat_map(|tree| tree.inputs).collect(),
        splits: trees.iter().flat_map(|tree| tree.splits).collect(),
        lengths: trees.iter().flat_map(|tree| tree.lengths).collect(),
    }
    .encode_to_vec()
}

/// Reads a forest.
///
/// # Errors
///
/// [`Malformed`].
pub fn decode_forest(bytes: &[u8]) -> Result<Forest, Malformed> {
    const FOREST: &str = "a forest";
    let proto = proto::Forest::decode(bytes)?;
    let count = proto.trees as usize;
    if count > MAX_TREES {
        return Err(Malformed::TooMany(FOREST));
    }
    let agree = proto.depth as usize == forest::DEPTH
        && proto.inputs.len() == count * NODES
        && proto.splits.len() == count * NODES
        && proto.lengths.len() == count * LEAVES;
    if !agree {
        return Err(Malformed::Count(FOREST));
    }
    let is_length = |length: &f32| (0.0..LARGEST as f32).contains(length);
    let are_usable = proto.inputs.iter().all(|input| usize::from(*input) < INPUTS)
        && proto.splits.iter().all(|split| split.is_finite())
        && proto.lengths.iter().all(is_length);
    if !are_usable {
        return Err(Malformed::Number(FOREST));
    }
    let (inputs, _) = proto.inputs.as_chunks::<NODES>();
    let (splits, _) = proto.splits.as_chunks::<NODES>();
    let (lengths, _) = proto.lengths.as_chunks::<LEAVES>();
    let nodes = inputs.iter().zip(splits).zip(lengths);
    Ok(Forest::new(
        nodes
            .map(|((inputs, splits), lengths)| Tree { inputs: *inputs, splits: *splits, lengths: *lengths })
            .collect(),
    ))
}

/// Golden vectors as bytes.
pub fn encode_golden(golden: &Golden) -> Vec<u8> {
    let Golden { cases, joint } = golden;
    let parts = |parts: &Together| [parts.largest, parts.second, parts.mean, parts.share];
    proto::Golden {
        step_s: cases.iter().map(|case| case.step_s).collect(),
        samples: cases.iter().map(|case| case.values.len() as u32).collect(),
        values: cases.iter().flat_map(|case| &case.values).copied().collect(),
        scores: cases.iter().flat_map(|case| &case.scores).copied().collect(),
        parts: joint.iter().flat_map(|(step, _)| parts(step)).collect(),
        joint_scores: joint.iter().map(|(_, score)| *score).collect(),
    }
    .encode_to_vec()
}

/// Reads golden vectors.
///
/// # Errors
///
/// [`Malformed`].
pub fn decode_golden(bytes: &[u8]) -> Result<Golden, Malformed> {
    const GOLDEN: &str = "the golden vectors";
    let proto = proto::Golden::decode(bytes)?;
    let samples = proto.samples.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count as usize));
    let samples = samples.filter(|sum| *sum <= MAX_GOLDEN).ok_or(Malformed::TooMany(GOLDEN))?;
    let (parts, rest) = proto.parts.as_chunks::<4>();
    let agree = proto.step_s.len() == proto.samples.len()
        && proto.values.len() == samples
        && proto.scores.len() == samples
        && rest.is_empty()
        && parts.len() == proto.joint_scores.len();
    if parts.len() > MAX_GOLDEN {
        return Err(Malformed::TooMany(GOLDEN));
    }
    if !agree {
        return Err(Malformed::Count(GOLDEN));
    }
    let are_finite =
        proto.values.iter().chain(&proto.scores).chain(&proto.joint_scores).all(|n| n.is_finite());
    if !are_finite || !proto.parts.iter().all(|part| part.is_finite()) || proto.step_s.contains(&0) {
        return Err(Malformed::Number(GOLDEN));
    }
    let (mut values, mut scores) = (proto.values.into_iter(), proto.scores.into_iter());
    let case = |(step_s, samples): (&u32, &u32)| Case {
        step_s: *step_s,
        values: values.by_ref().take(*samples as usize).collect(),
        scores: scores.by_ref().take(*samples as usize).collect(),
    };
    let cases = proto.step_s.iter().zip(&proto.samples).map(case).collect();
    let step = |&[largest, second, mean, share]: &[f32; 4]| Together { largest, second, mean, share };
    let joint = parts.iter().map(step).zip(proto.joint_scores).collect();
    Ok(Golden { cases, joint })
}

/// Priors as bytes.
pub fn encode_priors(priors: &Priors) -> Vec<u8> {
    let group = |(value, prior): (&String, &Prior)| {
        let [p, d, q] = prior.order.map(u32::from);
        proto::Prior {
            value: value.clone(),
            p,
            d,
            q,
            ar: prior.ar.clone(),
            ma: prior.ma.clone(),
            weights: prior.weights.to_vec(),
            error_ratio: prior.error_ratio,
            series: prior.series,
            samples: prior.samples,
        }
    };
    let groups = priors.groups.iter().map(group).collect();
    proto::Priors { label: priors.label.clone(), groups }.encode_to_vec()
}

/// Reads priors.
///
/// # Errors
///
/// [`Malformed`].
pub fn decode_priors(bytes: &[u8]) -> Result<Priors, Malformed> {
    const PRIORS: &str = "the priors";
    // Messages take far more memory than bytes.
    if bytes.len() > MAX_PRIORS_BYTES {
        return Err(Malformed::TooMany(PRIORS));
    }
    let proto = proto::Priors::decode(bytes)?;
    if proto.groups.len() > MAX_GROUPS {
        return Err(Malformed::TooMany(PRIORS));
    }
    let is_name = |name: &String| name.len() <= MAX_NAME;
    if !is_name(&proto.label) || !proto.groups.iter().all(|group| is_name(&group.value)) {
        return Err(Malformed::TooMany("a name of the priors"));
    }
    let prior = |group: proto::Prior| {
        let weights = group.weights.as_slice().try_into().map_err(|_| Malformed::Count(PRIORS))?;
        let agree = group.ar.len() == group.p as usize && group.ma.len() == group.q as usize;
        if !agree || group.p > MAX_TERMS || group.q > MAX_TERMS || group.d > MAX_DIFFERENCES {
            return Err(Malformed::Count(PRIORS));
        }
        let mut numbers = group.ar.iter().chain(&group.ma).chain(&group.weights);
        if !numbers.all(|number| number.abs() <= LARGEST_WEIGHT)
            || !(0.0..=LARGEST).contains(&group.error_ratio)
        {
            return Err(Malformed::Number(PRIORS));
        }
        let order = [group.p as u8, group.d as u8, group.q as u8];
        let proto::Prior { ar, ma, error_ratio, series, samples, .. } = group;
        Ok((group.value, Prior { order, ar, ma, weights, error_ratio, series, samples }))
    };
    let groups = proto.groups.into_iter().map(prior).collect::<Result<_, Malformed>>()?;
    Ok(Priors { label: proto.label, groups })
}

/// Finite, from 0 and not too large.
fn usable<const N: usize>(numbers: [f64; N], of: &'static str) -> Result<(), Malformed> {
    let are = numbers.iter().all(|number| (0.0..=LARGEST).contains(number));
    are.then_some(()).ok_or(Malformed::Number(of))
}
