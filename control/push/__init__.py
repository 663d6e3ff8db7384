"""The push stream's server side: who follows which resources, what is sent to whom and when, and what came of it."""
