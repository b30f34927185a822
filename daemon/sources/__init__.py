"""Where mail comes from: each module turns a wire into Envelopes, and Outcomes into the wire's own words."""
