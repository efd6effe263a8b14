"""Describe this agent to callers: the A2A agent card."""

from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from a2a.utils.constants import PROTOCOL_VERSION_0_3, PROTOCOL_VERSION_1_0, TransportProtocol

from config import WorkspaceConfig
from skill_loader.loader import Skill


def build_card(config: WorkspaceConfig, skills: tuple[Skill, ...], url: str) -> AgentCard:
    """Build the card. `url` is where JSON-RPC is served; it is offered for A2A 1.0 and for 0.3 clients."""
    return AgentCard(
        name=config.name,
        description=config.description,
        version=config.version,
        supported_interfaces=[
            AgentInterface(
                url=url, protocol_binding=TransportProtocol.JSONRPC.value, protocol_version=version
            )
            for version in (PROTOCOL_VERSION_1_0, PROTOCOL_VERSION_0_3)
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[_skill(skill) for skill in skills] or [_conversation(config)],
    )


def at_url(card: AgentCard, url: str) -> AgentCard:
    """Return a copy of the card that names another URL."""
    copy = AgentCard()
    copy.CopyFrom(card)
    for interface in copy.supported_interfaces:
        interface.url = url
    return copy


def _skill(skill: Skill) -> AgentSkill:
    return AgentSkill(
        id=skill.id,
        name=skill.name,
        description=skill.description,
        tags=list(skill.tags) or [skill.id],
        examples=list(skill.examples),
    )


def _conversation(config: WorkspaceConfig) -> AgentSkill:
    """A card must list a skill, and a workspace without any can still be talked to."""
    return AgentSkill(
        id="conversation",
        name="Conversation",
        description=config.role or config.description,
        tags=["conversation"],
    )
