package data

// plotsOnTheWay lead out of the door, or through a season.
var plotsOnTheWay = []plot{
	{
		name: "seed", cast: anyone,
		words: map[string][]string{
			"plant": {
				"sunflower/a tall stem with a golden flower on top/look over the roof", "pumpkin/a pumpkin as round as the moon/make soup for everybody",
				"apple tree/a little tree with two white flowers/give apples one day", "bean/a green vine that climbed up to the window/shake hands with the clouds",
				"strawberry/a small plant with one red berry/fill a whole bowl", "rose/a bush with one pink rose/make the whole garden smell sweet",
			},
		},
		paras: [][]line{
			{opening, {
				"One {day}, {his} {K} gave {him} a tiny seed. \"This will be a {plant.0},\" {khe} said.",
				"One {day}, {A} found a tiny seed in an old box. \"That is a {plant.0} seed,\" said {his} {K}.",
				"In spring, a trader gave {A} a tiny seed. \"It is a {plant.0},\" said the trader. \"Take good care of it.\"",
			}, {
				"{A} made a hole in the earth and put the seed inside.", "{A} planted it where the sun was warm.", "{he} put it in the soft earth and gave it some water.",
			}},
			{{
				"The next morning, {he} ran out to look. There was nothing.", "On the first day, nothing happened. On the second day, nothing happened.", "{he} sat down beside it and waited. Nothing came up.",
			}, {
				"\"It is broken,\" said {A}.", "\"When will it grow?\" asked {A}.", "{A} wanted to dig it up and see what was wrong.",
			}, {
				"\"Wait a little,\" said {his} {K}. \"A seed works where you cannot see it.\"", "\"Give it water and time,\" said {his} {K}.", "{his} {K} smiled. \"You did not grow up in one day, either,\" {khe} said.",
			}},
			{{
				"So {A} watered it every morning and talked to it every evening.", "So {A} gave it water each day and pulled out the weeds.", "So {A} waited. {he} sang to the seed, told it stories and kept the {pest} away.",
			}, {
				"It rained, and the sun shone, and it rained again.", "One week went by, and then another.", "The days grew longer and the wind grew soft.",
			}, {
				"Then, one morning, there was something green. \"It is here!\" cried {A}.", "Then, one morning, a small green leaf looked out of the ground.", "At last a tiny green tip came up. {A} jumped for joy.",
			}},
			{{
				"By the end of the summer, there was {plant.1}.", "It grew and grew until there was {plant.1}.", "And when the time had come, there was {plant.1}.",
			}, {
				"\"One day it will {plant.2},\" said {A} proudly.", "\"Soon it will {plant.2},\" said {A}.",
			}, {
				"{A} had learned that good things take time.", "If you care for something each day, it will grow.", "{he} kept one new seed, and gave it to {his} friend {B}.", "Those who can wait are often rewarded.",
			}},
		},
	},
	{
		name: "race", cast: anyone,
		paras: [][]line{
			{opening, {
				"Every year there was a race [around the lake|up to the top of the hill|from the mill to the bridge and back].", "In {his} village there was a great race every [spring|summer|autumn].",
			}, {
				"{A} wanted to win more than anything. {he} ran a little faster every day.", "The prize was a {treasure}, and {A} wanted it very much.", "{A} had never won, but this year {he} was ready.",
			}},
			{{
				"The morning of the race came. All the neighbors stood along the path.", "On the day of the race, everybody was there.", "When the great day came, the sun was shining and flags hung from every tree.",
			}, {
				"\"One, two, three, go!\" called the old miller, and they were off.", "A bell rang, and all of them began to run.", "\"Ready?\" called {his} {K}. \"Go!\"",
			}, {
				"{A} ran like the wind. Soon {he} was ahead of all the others.", "At first {A} was the last, but {he} passed one after another.", "{his} feet were light, and soon only one other runner was in front of {him}.",
			}},
			{{
				"Then there was a cry. {B}, a {trait2} {bkind}, had fallen on the stones.", "But at the turn of the path, a {bkind} named {B} fell and did not get up.", "Just before the end, {B}, a {trait2} {bkind}, fell over a root. \"My foot!\" cried {B}.",
			}, {
				"{A} looked at the finish. It was so near. Then {he} looked back.", "\"If I stop now, I will lose,\" thought {A}.", "{A} slowed down. What should {he} do?",
			}, {
				"{he} turned around and ran back. \"Lean on me,\" {he} said.", "\"A race comes every year,\" {he} said, and {he} helped {B} to stand up.", "{he} stopped and gave {B} {his} {paw}. \"We will go together,\" {he} said.",
			}},
			{{
				"Slowly, step by step, the two of them came to the finish. They were the very last.", "All the others were faster. {A} and {B} came in last, arm in arm.",
			}, {
				"But everyone cheered for them louder than for the winner.", "But the people clapped and clapped.", "The winner came and shook {his} {paw}. \"You are the best of us,\" said the winner.",
			}, {
				"\"I am proud of you,\" said {his} {K}.", "\"Why did you stop?\" asked {B}. \"Because you needed me,\" said {A}.", "\"Thank you,\" said {B}. \"I will never forget it.\"",
			}, {
				"{A} won no prize that day, but {he} won a friend.", "There is more than one way to win.", "The next year they ran side by side, and nobody knows who was first.", "A good heart is better than fast feet.",
			}},
		},
	},
	{
		name: "honest", cast: anyone,
		words: map[string][]string{
			"broken": {"blue vase", "old teapot", "big mirror", "painted plate", "glass lamp", "flower pot", "glass bowl"},
		},
		paras: [][]line{
			{opening, habit, {
				"One {day}, {A} was playing ball in the house, though {his} {K} had said, \"Not in here.\"", "One {day}, {A} was running from room to room with {his} arms spread wide like a bird.", "One {day}, {he} was all alone in the house and danced as wildly as {he} could.",
			}, {
				"Crash! The {broken} fell to pieces.", "There was a loud noise. {he} had hit the {broken}, and it broke.", "Then there was a terrible crack. It was the {broken}.",
			}},
			{{
				"{A} was very frightened. {his} {K} loved the {broken}.", "{A} stood still and did not breathe.", "\"Oh no!\" whispered {A}.",
			}, {
				"{he} hid the pieces {hide} and told nobody.", "Quickly, {he} pushed the pieces {hide}.", "{he} swept up the pieces and put them {hide}.",
			}, {
				"In the evening, {his} {K} asked, \"Do you know what happened to the {broken}?\"", "\"How strange,\" said {his} {K} that evening. \"What happened to the {broken}?\"",
			}, {
				"\"It was not me,\" said {A}, and looked at the floor.", "\"Maybe it was the wind,\" said {A}.", "\"I do not know,\" said {A} very quietly.",
			}},
			{{
				"But that night, {A} could not sleep.", "That night, {A} turned from one side to the other.", "At supper, {A} could not eat, and in bed {he} could not sleep.",
			}, {
				"The lie lay on {his} heart like a stone.", "{he} thought of the pieces, and {his} stomach hurt.", "It was as if the pieces were calling to {him}.",
			}, {
				"At last {he} got up and went to {his} {K}. \"It was me,\" {he} said. \"I broke it, and I lied. I am so sorry.\"", "In the morning, {he} brought the pieces to {his} {K} and told {khim} everything.",
			}},
			{{
				"{his} {K} was silent for a while. Then {khe} took {him} in {khis} arms.", "{his} {K} looked at the pieces and then at {A}. \"Thank you for telling me the truth,\" {khe} said.", "{A} waited for hard words, but none came.",
			}, {
				"\"A {broken} can be replaced,\" said {his} {K}. \"Trust is harder to mend.\"", "\"I am sad about the {broken},\" said {his} {K}, \"but I am glad that you are honest.\"", "\"That was braver than hiding it,\" said {his} {K}.",
			}, {
				"Together they glued the pieces, and you could hardly see the cracks.", "The next day they picked out a new one together.", "Then they cleaned up together, and {A} felt light again.",
			}, {
				"After that, {A} always told the truth, even when it was hard.", "{A} learned that the truth is heavy only until you say it.", "That night, {A} slept as soundly as a stone.",
			}},
		},
	},
	{
		name: "wood", cast: anyone,
		words: map[string][]string{
			"guide": {
				"a small stream/A stream always finds the valley", "the evening star/That star stands above our roof every night", "the smell of smoke/Where there is smoke, there is a warm kitchen",
				"the sound of a bell/That is the bell of our village", "a row of white stones/Somebody put those stones there to show the way",
			},
		},
		paras: [][]line{
			{opening, friend, {
				"One {day}, the two of them went into the wood to look for {find}.", "One {day}, they took a basket and went to look for {find}.", "\"Let us look for {find},\" said {A} one {day}.",
			}},
			{{
				"They found so many that they forgot the time.", "\"There are more over there,\" said {B}, and they went deeper and deeper into the wood.", "They ran from tree to tree and did not look back once.",
			}, {
				"Suddenly it was getting dark. All the trees looked the same.", "When they wanted to go home, the path was gone.", "Then a fog came up, and they could not see the way.",
			}, {
				"\"Are we lost?\" asked {B} in a small voice.", "\"I think we are lost,\" said {B}.", "\"Which way is home?\" asked {B}. {A} did not know.",
			}},
			{{
				"{B} began to cry, and {A} took {bhis} {paw}.", "{A} was frightened too, but {he} did not show it.", "An owl called, and they held on to each other.",
			}, {
				"\"First we must be calm,\" said {A}. \"My {K} always says that.\"", "\"Let us sit down and think,\" said {A}.", "\"Let us be very quiet for a moment,\" said {A}.",
			}, {
				"Then {he} noticed {guide.0}.", "It was then that {he} noticed {guide.0}.",
			}, {
				"\"{guide.1},\" {he} said. \"Come with me!\"", "\"Look!\" {he} said. \"{guide.1}. That is the way.\"",
			}},
			{{
				"They walked and walked. At last they saw a light between the trees.", "They went on step by step, until the trees ended and the stars came out.", "It was a long way, but they sang all their songs, and the time went by.",
			}, {
				"There stood {his} {K} with a lantern. \"There you are!\" {khe} cried.", "At the door, {his} {K} was waiting. {khe} hugged them both for a long time.",
			}, {
				"They got hot soup and a warm blanket.", "\"I was not afraid at all,\" said {B}, and everyone laughed.", "{A} told the whole story twice, and then {he} fell asleep in {his} chair.",
			}, {
				"When you are lost, first be calm, and then look around.", "From then on, they always put a mark on every tenth tree.", "A clear head is the best lantern.", "Since that day, they never forgot the time again.",
			}},
		},
	},
	{
		name: "gift", cast: anyone,
		paras: [][]line{
			{opening, {
				"Tomorrow was the birthday of {his} {K}, and {A} had no gift.", "The birthday of {his} {K} was near, and {A} wanted to give {khim} something beautiful.",
			}, {
				"{he} had no money, only [a button and a piece of string|two nuts and a feather|three smooth stones].", "\"What can I give?\" {he} thought. \"My pockets are empty.\"", "{he} counted {his} coins. There was only one.",
			}},
			{{
				"{he} went to the market and saw {fine}. But it cost too much.", "In a shop window, {he} saw {fine}. \"That is for rich people,\" said {A} sadly.",
			}, {
				"On the way home, {he} met {his} friend {B} and told {bhim} everything.", "{his} friend {B} was sitting on the bridge. \"Why do you look so sad?\" asked {B}.",
			}, {
				"\"The best gifts are not in shops,\" said {B}. \"What does your {K} like?\"", "\"Can you make something?\" asked {B}.", "\"Think of something that only you can give,\" said {B}.",
			}},
			{{
				"{A} thought about it the whole way. Then {he} had an idea.", "Then {A} smiled. \"Now I know!\" {he} cried.", "All at once {A} knew what to do.",
			}, {
				"{he} painted a picture of [the house with everyone in front of it|the sea in the morning light|the old tree and the bench below it].", "{he} picked flowers from the meadow, one of every color, and tied them with {his} best string.", "{he} wrote a song about {his} {K} and practiced it until late at night.", "{he} baked a small cake in the shape of a heart. It was a little crooked.",
			}, {
				"{B} helped, and they laughed a lot.", "It took the whole evening.", "{he} worked until the candle was short.",
			}},
			{{
				"In the morning, {his} {K} saw the gift and was quiet for a long time.", "When {his} {K} got the gift, there were tears in {khis} eyes.", "{A} was nervous when the moment came. But {his} {K} smiled like the sun.",
			}, {
				"\"Did you make this for me?\" {khe} asked. \"Yes,\" said {A}.", "\"This is the best gift of my life,\" {khe} said.", "\"It is made with love,\" said {his} {K}. \"I can see it.\"",
			}, {
				"Then they ate {snack} together, and {B} was there too.", "They laughed and sang until the evening.", "",
			}, {
				"A gift from the heart is never too small.", "{A} was so happy that {he} forgot all about the shop.", "To give can be even nicer than to get.", "{his} {K} kept it for many, many years.",
			}},
		},
	},
	{
		name: "rain", cast: anyone,
		paras: [][]line{
			{opening, habit, {
				"One {day}, {A} went for a long walk. The sky was blue when {he} left.", "One {day}, {A} was far from home when dark clouds came up.", "One {day}, {A} was on the way to the market.",
			}, {
				"Suddenly the wind blew hard, and it began to rain.", "Then came one drop, and another, and then a thousand.", "All at once, rain poured down as if from a bucket.",
			}},
			{{
				"{A} ran to an old barn and slipped inside.", "{A} saw a hollow tree and crept into it.", "There was a little hut beside the path, and {A} ran to it.",
			}, {
				"But somebody was already there. It was a {bkind}.", "It was dark inside. \"Hello,\" said a voice. It was a {trait2} {bkind}.", "In the corner sat a {bkind} with wet ears.",
			}, {
				"\"My name is {B},\" said the {bkind}. \"I am new here and I know nobody.\"", "\"Come in,\" said the {bkind}. \"There is room for two. I am {B}.\"", "\"Are you wet too?\" asked the {bkind}. \"I am {B}. What is your name?\"",
			}, {
				"\"I am {A},\" said {A} and shook the water from {his} head.", "\"I am {A},\" said {A}. \"I live {home}.\"",
			}},
			{{
				"The rain drummed on the roof, and they told each other stories.", "They listened to the rain and shared some {snack}.", "To pass the time, they played a game with little stones.",
			}, {
				"{B} knew a funny song, and soon {A} knew it too.", "{B} told {him} about {bhis} old home far away. {A} told {bhim} where to find the best berries.", "It turned out that both of them loved to {like3}.",
			}, {
				"The time went by so fast that they did not notice when the rain stopped.", "After an hour, the sun came out again, and neither of them wanted to go.",
			}},
			{{
				"Outside, there was a great rainbow over the hill.", "Every leaf was shining, and a rainbow stood over the fields.", "The air was fresh, and there were puddles everywhere.",
			}, {
				"\"Will you come and play tomorrow?\" asked {A}. \"Even if it rains?\" asked {B}. \"Then most of all,\" said {A}.", "They jumped into every puddle on the way home.", "\"I am glad that it rained,\" said {B}. \"So am I,\" said {A}.",
			}, {
				"Sometimes bad weather brings good friends.", "Since then, {A} has always smiled when it rains.", "You never know what a rainy day will bring.", "And so a storm became the start of a friendship.",
			}},
		},
	},
}
