//! The isolation forest for entities: grown from what the series of synthetic nodes come to together.

use super::Recipe;
use crate::backtest::{CorridorError, Entity, Series};
use crate::batch::Sample;
use crate::detect::JointExplanation;
use crate::detect::forest::{Forest, INPUTS};
use crate::model::Model;
use crate::rules::RawRule;
use crate::simulate::synth::{Fleet, MONDAY_MS};

/// How many series the entities of a node have: those of one size are spread over all series of the node.
const SIZES: [usize; 5] = [2, 3, 5, 8, 12];

/// Some series of one node.
struct Thing {
    entity: Entity,
    /// The places of its parts in the fleet.
    parts: Vec<usize>,
}

// === impl Recipe ===

impl Recipe {
    /// The forest for entities.
    ///
    /// # Errors
    ///
    /// None but those of a rule, which is the default one.
    pub fn joint_forest(&self) -> Result<Forest, CorridorError> {
        Ok(Forest::grow(&self.joint_rows()?, self.trees, self.seed))
    }

    /// What it is grown from: what parts come to together, of each step of which the forest is asked.
    ///
    /// # Errors
    ///
    /// As for [`Self::joint_forest`].
    pub fn joint_rows(&self) -> Result<Vec<[f32; INPUTS]>, CorridorError> {
        let mut fleet = self.fleet();
        let mut things = things(&fleet, self.instances)?;
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        for sample in 0..self.samples() {
            let timestamp_ms = MONDAY_MS + sample * self.step_s * 1_000;
            fleet.advance_to(timestamp_ms);
            fleet.read(&mut values);
            for thing in &mut things {
                let parts = thing.parts.iter().enumerate();
                let samples: Vec<_> =
                    parts.map(|(number, at)| (number, Sample { timestamp_ms, value: values[*at] })).collect();
                if thing.entity.hear(&samples).is_empty() {
                    continue;
                }
                let is_asked =
                    |joint: &JointExplanation| joint.path.is_some() && joint.steps_seen >= self.warm_up;
                let joint = thing.entity.explain().filter(is_asked);
                rows.extend(joint.map(|JointExplanation { largest, second, mean, late, .. }| {
                    [largest, second, mean, late].map(|number| number * number)
                }));
            }
        }
        Ok(rows)
    }
}

/// The entities of all nodes of `fleet`.
fn things(fleet: &Fleet, instances: u32) -> Result<Vec<Thing>, CorridorError> {
    let mut things = Vec::new();
    for instance in 0..instances {
        let of_node = fleet.series().iter().enumerate().filter(|(_, series)| series.instance == instance);
        let of_node: Vec<usize> = of_node.map(|(at, _)| at).collect();
        for size in SIZES.iter().map(|size| (*size).min(of_node.len())) {
            let parts: Vec<usize> = (0..size).map(|part| of_node[part * of_node.len() / size]).collect();
            let series = |at: &usize| {
                let series = &fleet.series()[*at];
                let labels = series.labels.iter().map(|(name, value)| (*name, value.clone()));
                Series::from_iter(labels.chain([("__name__", series.name())]))
            };
            let series: Vec<Series> = parts.iter().map(series).collect();
            let entity = Entity::new(Model::builtin(), RawRule::default(), &series, 0)?;
            things.push(Thing { entity, parts });
        }
    }
    Ok(things)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_forest_for_entities_is_up_to_date() {
        // Both in full would fill pages.
        let grown = Recipe::default().joint_forest().unwrap();
        assert!(grown == Forest::builtin_joint(), "it is not; run: make generate");
    }
}
