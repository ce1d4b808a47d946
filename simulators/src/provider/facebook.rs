//! The description of Facebook Messenger; its wire form is in `family/messenger`.

use crate::{
    contract::{About, Credential},
    family::messenger::{Messenger, MetaProduct, RETRY},
};

pub(crate) static FACEBOOK: Messenger = Messenger {
    about: About {
        name: "facebook",
        title: "Facebook Messenger",
        credentials: &[
            Credential { key: "access_token", default: "EAAsimulated", purpose: "the page's token" },
            Credential { key: "page_id", default: "300000000000001", purpose: "the page" },
            Credential {
                key: "app_secret",
                default: "sim-app-secret",
                purpose: "signs webhooks; makes appsecret_proof",
            },
            Credential {
                key: "verify_token",
                default: "sim-verify-token",
                purpose: "the secret of the webhook's handshake",
            },
            Credential { key: "app_id", default: "400000000000001", purpose: "the app that echoes name" },
            Credential {
                key: "demand_proof",
                default: "",
                purpose: "\"yes\": calls without appsecret_proof are refused",
            },
        ],
        batch_max: 1_000,
        retry: RETRY,
        polls: false,
        customer: "7700112233",
    },
    product: MetaProduct::Facebook,
};
