//! What was around a message, as it is handed on with it.

use super::{Layers, Mac, network};

/// What was around a message: all layers, or the few of a plain packet, from which they are made where somebody wants
/// them.
#[derive(Clone, Copy, Debug)]
pub enum Around<'a> {
    /// All of them.
    Layers(&'a Layers),
    /// Ethernet alone.
    Ethernet {
        /// Its two hardware addresses, as they stand in the packet: destination, source.
        macs: &'a [u8; 12],
        /// The VLAN identifier; 0 where there is none (IEEE 802.1Q: a priority tag).
        vlan: u16,
    },
}

impl Around<'_> {
    /// As [`Layers::network`].
    #[inline(always)]
    #[must_use]
    pub fn network(&self) -> u64 {
        match self {
            Self::Layers(layers) => layers.network(),
            Self::Ethernet { vlan: 0, .. } => 0,
            Self::Ethernet { vlan, .. } => network(0, &[*vlan]),
        }
    }

    /// As [`Layers::are_tapped`].
    #[inline(always)]
    #[must_use]
    pub fn is_tapped(&self) -> bool {
        matches!(self, Self::Layers(layers) if layers.are_tapped())
    }

    /// Writes all of them to the place of others.
    pub fn write_to(&self, layers: &mut Layers) {
        match *self {
            Self::Layers(these) => layers.clone_from(these),
            Self::Ethernet { macs, vlan } => {
                layers.vlan.clear();
                layers.vlan.extend((vlan != 0).then_some(vlan));
                layers.tunnel.clear();
                layers.tunnel_id = 0;
                let &[a, b, c, d, e, f, g, h, i, j, k, l] = macs;
                layers.macs = Some((Mac([g, h, i, j, k, l]), Mac([a, b, c, d, e, f])));
            }
        }
    }
}
